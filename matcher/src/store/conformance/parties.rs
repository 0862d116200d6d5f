//! Parties.

use protocol::id::TicketId;
use protocol::time::Timestamp;

use super::{Checked, attributes, checks, gather, member, mode, record, regions, roles, ticket};
use crate::store::{Added, Disagreement, Gathered, Standing};
use crate::ticket::{PartyCode, Ticket};

checks![
    a_party_that_is_complete_waits_as_one_ticket,
    a_party_is_of_one_version_with_the_same_attributes,
    a_party_goes_where_all_of_it_can_by_the_worst_latency,
    who_does_not_fit_in_is_told_about_what,
    who_stands_elsewhere_does_not_come,
    a_party_that_loses_a_member_gathers_again,
    a_party_that_everyone_left_is_gone,
    a_party_whose_match_failed_waits_again_or_gathers,
    a_party_that_has_its_match_is_over,
    a_party_s_ticket_that_was_lost_brings_the_party_back,
];

async fn a_party_that_is_complete_waits_as_one_ticket(store: Checked<'_>) {
    for _ in 0..2 {
        let gathered = store.gather(&gather("abcd", 2, 301)).await;
        let Gathered::Gathering(gathering) = gathered else {
            panic!("{gathered:?}");
        };
        assert_eq!((gathering.present, gathering.size), (1, 2));
        assert_eq!(gathering.since, Timestamp(301));
        assert_eq!(store.standing(301).await, Standing::Gathering(gathering));
    }
    assert!(store.waiting("race").await.is_empty());
    let Gathered::Complete(whole) = store.gather(&gather("abcd", 2, 302)).await else {
        panic!("it is complete");
    };
    let wanted = Ticket {
        id: TicketId(302),
        mode: mode("race"),
        members: vec![member(301), member(302)],
        party: Some(PartyCode::new("abcd")),
        private: None,
        regions: regions(&[]),
        version: None,
        attributes: attributes(&[]),
        enqueued_at: Timestamp(1302),
    };
    assert_eq!(*whole, wanted);
    let again = store.gather(&gather("abcd", 2, 302)).await;
    assert_eq!(again, Gathered::Complete(whole), "asking twice is the same");
    assert_eq!(store.waiting("race").await, [302]);
    for player in [301, 302] {
        assert_eq!(store.found(player).await, Some((302, None)));
    }
    store.remove_all([301, 302]).await;
}

async fn a_party_is_of_one_version_with_the_same_attributes(store: Checked<'_>) {
    let member = |player: u64, version: &str, input: &str| {
        let mut gather = gather("traits", 2, player);
        gather.version = version.parse().ok();
        gather.attributes = attributes(&[("input", input)]);
        gather.member.deviation = 90;
        gather.member.roles = roles(&["tank"]);
        gather
    };
    let first = store.gather(&member(391, "1.2", "pad")).await;
    let Gathered::Gathering(gathering) = first else {
        panic!("{first:?}");
    };
    assert_eq!(gathering.version, "1.2".parse().ok());
    assert_eq!(gathering.attributes, attributes(&[("input", "pad")]));
    assert_eq!(gathering.roles, roles(&["tank"]));
    assert_eq!(store.standing(391).await, Standing::Gathering(gathering));
    for (version, input, disagreement) in [
        ("1.3", "pad", Disagreement::Version),
        ("", "pad", Disagreement::Version),
        ("1.2", "mouse", Disagreement::Attributes),
    ] {
        let other = store.gather(&member(392, version, input)).await;
        assert_eq!(other, Gathered::Mismatch(disagreement));
    }
    let plain = store.gather(&gather("traits", 2, 392)).await;
    assert_eq!(plain, Gathered::Mismatch(Disagreement::Version));
    let Gathered::Complete(whole) = store.gather(&member(392, "1.2", "pad")).await else {
        panic!("it is complete");
    };
    assert_eq!(whole.version, "1.2".parse().ok());
    assert_eq!(whole.attributes, attributes(&[("input", "pad")]));
    assert_eq!(whole.deviation(), 63, "of the mean of two");
    // A store that has lost it gets it back, and what the party agrees on.
    assert_eq!(store.remove(391).await, crate::store::Removed::Gone);
    let again = store.gather(&member(391, "1.3", "pad")).await;
    assert_eq!(again, Gathered::Mismatch(Disagreement::Version));
    store.remove_all([392]).await;
    let mut lost = Ticket::clone(&whole);
    lost.id = TicketId(393);
    assert_eq!(store.add(lost).await, crate::store::Added::Waiting);
    store.remove_all([391]).await;
    let other = store.gather(&member(394, "1.2", "mouse")).await;
    assert_eq!(other, Gathered::Mismatch(Disagreement::Attributes));
    let Gathered::Complete(whole) = store.gather(&member(394, "1.2", "pad")).await else {
        panic!("it is complete");
    };
    assert_eq!(whole.members[0].player.0, 392);
    store.remove_all([392, 394]).await;
}

async fn a_party_goes_where_all_of_it_can_by_the_worst_latency(store: Checked<'_>) {
    let mut party = [
        gather("\"}{ ö", 4, 311),
        gather("\"}{ ö", 4, 312),
        gather("\"}{ ö", 4, 313),
        gather("\"}{ ö", 4, 314),
    ];
    party[0].regions = regions(&[("east", 20), ("west", 90)]);
    party[1].regions = regions(&[("east", 50), ("north", 10)]);
    party[2].regions = regions(&[("south", 1)]);
    for one in &party[..2] {
        store.gather(one).await;
    }
    store.gather(&party[3]).await;
    let apart = store.gather(&party[2]).await;
    assert_eq!(apart, Gathered::Mismatch(Disagreement::Regions));
    assert!(store.is_nowhere(313).await);
    party[2].regions = regions(&[]);
    let Gathered::Complete(whole) = store.gather(&party[2]).await else {
        panic!("it is complete");
    };
    assert_eq!(whole.regions, regions(&[("east", 50)]));
    store.remove_all(311..=314).await;
}

async fn who_does_not_fit_in_is_told_about_what(store: Checked<'_>) {
    store.gather(&gather("efgh", 2, 321)).await;
    let mut other = gather("efgh", 2, 322);
    other.mode = mode("duel");
    let cases = [
        (other, Disagreement::Mode),
        (gather("efgh", 3, 322), Disagreement::Size),
    ];
    for (other, wanted) in cases {
        assert_eq!(store.gather(&other).await, Gathered::Mismatch(wanted));
        assert!(store.is_nowhere(322).await);
    }
    store.gather(&gather("efgh", 2, 322)).await;
    let third = store.gather(&gather("efgh", 2, 323)).await;
    assert_eq!(third, Gathered::Mismatch(Disagreement::Full));
    store.remove_all([321, 322]).await;
}

async fn who_stands_elsewhere_does_not_come(store: Checked<'_>) {
    store.add_all([331]).await;
    let mut other = gather("ijkl", 2, 331);
    other.ticket = TicketId(339);
    let kept = store.gather(&other).await;
    assert!(matches!(kept, Gathered::Kept(Standing::Ticket(_))));
    store.gather(&gather("ijkl", 2, 332)).await;
    let kept = store.gather(&gather("mnop", 2, 332)).await;
    assert!(matches!(kept, Gathered::Kept(Standing::Gathering(at)) if at.present == 1));
    let kept = store.add(ticket(333, "race", &[332], 5)).await;
    assert!(matches!(kept, Added::Kept(Standing::Gathering(_))));
    store.remove_all([331, 332]).await;
}

async fn a_party_that_loses_a_member_gathers_again(store: Checked<'_>) {
    for player in [341, 342, 343] {
        store.gather(&gather("qrst", 3, player)).await;
    }
    store.remove_all([342]).await;
    assert!(store.waiting("race").await.is_empty());
    let Standing::Gathering(gathering) = store.standing(343).await else {
        panic!("the others gather again");
    };
    assert_eq!((gathering.present, gathering.size), (2, 3));
    assert_eq!(gathering.since, Timestamp(1343), "as old as the ticket was");
    let whole = store.gather(&gather("qrst", 3, 344)).await;
    assert!(matches!(whole, Gathered::Complete(ticket) if ticket.members.len() == 3));
    store.remove_all([341, 343, 344]).await;
}

async fn a_party_that_everyone_left_is_gone(store: Checked<'_>) {
    store.gather(&gather("uvwx", 2, 351)).await;
    store.remove_all([351]).await;
    let other = store.gather(&gather("uvwx", 3, 352)).await;
    assert!(matches!(other, Gathered::Gathering(at) if (at.present, at.size) == (1, 3)));
    store.remove_all([352]).await;
}

async fn a_party_whose_match_failed_waits_again_or_gathers(store: Checked<'_>) {
    for player in [361, 362] {
        store.gather(&gather("yzab", 2, player)).await;
    }
    store.claim(&[(71, &[362])]).await;
    store.give_back(71).await;
    assert_eq!(store.found(361).await, Some((362, None)));
    store.claim(&[(72, &[362])]).await;
    store.remove(361).await;
    store.give_back(72).await;
    assert!(store.waiting("race").await.is_empty());
    assert!(store.is_nowhere(361).await);
    assert!(matches!(store.standing(362).await, Standing::Gathering(at) if at.present == 1));
    store.remove_all([362]).await;
}

async fn a_party_that_has_its_match_is_over(store: Checked<'_>) {
    for player in [371, 372] {
        store.gather(&gather("cdef", 2, player)).await;
    }
    store.claim(&[(371, &[372])]).await;
    let mut party = record(371, &[371, 372]);
    party.tickets = vec![TicketId(372)];
    assert!(store.settle(&party).await);
    assert_eq!(store.playing(371).await, Some(371));
    let others = store.gather(&gather("cdef", 2, 373)).await;
    assert!(matches!(others, Gathered::Gathering(at) if at.present == 1));
    store.end(371, 371).await;
    store.remove_all([373]).await;
}

async fn a_party_s_ticket_that_was_lost_brings_the_party_back(store: Checked<'_>) {
    let mut lost = ticket(381, "race", &[381, 382], 10);
    lost.party = Some(PartyCode::new("ghij"));
    assert_eq!(store.add(lost).await, Added::Waiting);
    let third = store.gather(&gather("ghij", 2, 383)).await;
    assert_eq!(third, Gathered::Mismatch(Disagreement::Full));
    store.remove_all([381]).await;
    let whole = store.gather(&gather("ghij", 2, 383)).await;
    assert!(matches!(whole, Gathered::Complete(_)), "{whole:?}");
    store.remove_all([382, 383]).await;
}
