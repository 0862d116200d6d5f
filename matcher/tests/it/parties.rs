//! Parties: gathering, playing together, falling apart.

use std::time::Duration;

use protocol::control::ErrorCode;

use crate::clients::Client;
use crate::gateway::Gateway;
use crate::world::World;

fn join(mode: &str, code: &str, size: u8) -> String {
    format!(r#"{{"t":"queue.join","mode":"{mode}","party":{{"code":"{code}","size":{size}}}}}"#)
}

async fn gather(gateway: &Gateway, clients: &[Client], mode: &str, code: &str) {
    let size = u8::try_from(clients.len()).unwrap();
    for client in clients {
        client.attach(gateway).await;
        client.say(gateway, &join(mode, code, size)).await;
        client.queue_state(gateway).await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_party_gathers_and_plays_in_one_team() {
    let world = World::new().await;
    let gateway = world.gateway("gateway-1").await;
    let party: Vec<Client> = (1..=3).map(Client::new).collect();
    party[0].attach(&gateway).await;
    party[0].say(&gateway, &join("team", "abcd", 3)).await;
    assert_eq!(party[0].queue_state(&gateway).await.party, Some((1, 3)));
    gather(&gateway, &party, "team", "abcd").await;
    let others: Vec<Client> = (4..=8).map(Client::new).collect();
    for other in &others {
        other.attach(&gateway).await;
        other.join(&gateway, "team").await;
    }
    for client in party.iter().chain(&others) {
        assert_eq!(client.take(&gateway, "match.found").await["players"], 8);
    }
    let seats = &world.syncd().asked()[0].seats;
    let team_of = |client: &Client| {
        let seat = seats.iter().find(|seat| seat.player == client.player().0);
        seat.unwrap().team
    };
    assert!([1, 2].contains(&team_of(&party[0])));
    assert!(
        party
            .iter()
            .all(|member| team_of(member) == team_of(&party[0]))
    );
    for team in [1, 2] {
        assert_eq!(seats.iter().filter(|seat| seat.team == team).count(), 4);
    }
}

#[tokio::test(start_paused = true)]
async fn an_incomplete_party_is_not_matched() {
    let world = World::new().await;
    let gateway = world.gateway("gateway-1").await;
    let lone = Client::new(1);
    lone.attach(&gateway).await;
    lone.say(&gateway, &join("race", "abcd", 2)).await;
    lone.queue_state(&gateway).await;
    for bot in (11..=18).map(Client::bot) {
        bot.attach(&gateway).await;
        bot.join(&gateway, "race").await;
    }
    tokio::time::sleep(Duration::from_secs(20)).await;
    assert!(world.syncd().asked().is_empty());
    assert_eq!(lone.take(&gateway, "queue.left").await["reason"], "timeout");
}

#[tokio::test(start_paused = true)]
async fn a_party_that_loses_a_member_gathers_again() {
    let world = World::new().await;
    let gateway = world.gateway("gateway-1").await;
    let party = [Client::new(1), Client::new(2)];
    gather(&gateway, &party, "race", "abcd").await;
    party[1].say(&gateway, r#"{"t":"queue.leave"}"#).await;
    assert_eq!(
        party[1].take(&gateway, "queue.left").await["reason"],
        "left"
    );
    let gathering = loop {
        let state = party[0].queue_state(&gateway).await;
        if state.party.is_some() {
            break state;
        }
    };
    assert_eq!(gathering.party, Some((1, 2)));

    let third = Client::new(3);
    third.attach(&gateway).await;
    third.say(&gateway, &join("race", "abcd", 2)).await;
    let rooms = [
        party[0].take(&gateway, "match.found").await["room"].clone(),
        third.take(&gateway, "match.found").await["room"].clone(),
    ];
    assert_eq!(rooms[0], rooms[1]);
}

#[tokio::test(start_paused = true)]
async fn a_member_who_stays_away_breaks_the_party_up() {
    let world = World::new().await;
    let gateway = world.gateway("gateway-1").await;
    let party = [Client::new(1), Client::new(2)];
    gather(&gateway, &party, "team", "abcd").await;
    party[1].detach(&gateway, false).await;
    tokio::time::sleep(Duration::from_secs(20)).await;
    let state = party[0].queue_state_now(&gateway).await;
    assert_eq!(state.party, None, "the place is kept for a while");
    tokio::time::sleep(Duration::from_secs(20)).await;
    let state = party[0].queue_state_now(&gateway).await;
    assert_eq!(state.party, Some((1, 2)));
}

#[tokio::test(start_paused = true)]
async fn members_who_disagree_are_told_about_what() {
    let world = World::new().await;
    let gateway = world.gateway("gateway-1").await;
    let first = Client::new(1);
    first.attach(&gateway).await;
    first.say(&gateway, &join("team", "abcd", 2)).await;
    first.queue_state(&gateway).await;
    let other = Client::new(2);
    other.attach(&gateway).await;
    let cases = [
        (join("team", "abc", 2), ErrorCode::BadField, "party.code"),
        (
            join("team", &"x".repeat(33), 2),
            ErrorCode::BadField,
            "party.code",
        ),
        (join("team", "abcd", 1), ErrorCode::BadField, "party.size"),
        (join("team", "abcd", 5), ErrorCode::BadField, "party.size"),
        (join("duel", "wxyz", 3), ErrorCode::BadField, "party.size"),
        (
            join("team", "abcd", 3),
            ErrorCode::PartyMismatch,
            "party.size",
        ),
        (join("race", "abcd", 2), ErrorCode::PartyMismatch, "mode"),
    ];
    for (text, code, field) in cases {
        other.say(&gateway, &text).await;
        let error = other.error(&gateway).await;
        assert_eq!(
            (error.code, error.field.as_deref()),
            (code, Some(field)),
            "{text}"
        );
        assert_eq!(error.re.as_deref(), Some("queue.join"));
    }
    other.say(&gateway, &join("team", "abcd", 2)).await;
    other.queue_state(&gateway).await;
    let third = Client::new(3);
    third.attach(&gateway).await;
    third.say(&gateway, &join("team", "abcd", 2)).await;
    let error = third.error(&gateway).await;
    assert_eq!(error.code, ErrorCode::PartyMismatch, "the party is full");
}
