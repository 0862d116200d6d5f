//! Seats of an event, from a client through a gateway to what lasts.

use std::path::Path;
use std::time::Duration;

use client::{Client, Options, login};
use e2e::process::Process;
use protocol::control::{
    ClientMessage, ErrorCode, ErrorMessage, EventList, EventRef, EventSeat, SeatState,
};
use protocol::id::Channel;
use protocol::session::SessionEvent;
use servers::PostgresServer;
use tokio::time::timeout;

use crate::binary;

/// Longest that anything takes.
const PATIENCE: Duration = Duration::from_secs(30);

const EVENTS: &str = r#"{ gala = { title = "Gala", seats = 1, opens_at = "2020-01-01T00:00:00Z", closes_at = "2090-01-01T00:00:00Z" } }"#;

/// With a database seats are there, without in the folder.
fn start(folder: &Path, database: Option<&PostgresServer>) -> Process {
    let data = folder.join("data").display().to_string();
    let (file, key) = (folder.join("postgres.password"), folder.join("signing.key"));
    std::fs::write(&key, [7; 32]).expect("a file");
    let key = key.display().to_string();
    std::fs::write(&file, PostgresServer::PASSWORD).expect("a file");
    let (file, url) = (
        file.display().to_string(),
        database.map(PostgresServer::url),
    );
    let mut settings = vec![
        ("PIXELRUSH_GATEWAY__LISTEN", "127.0.0.1:0"),
        ("PIXELRUSH_ADMIN__LISTEN", "127.0.0.1:0"),
        ("PIXELRUSH_SECRETS__SIGNING_KEY_FILE", &key),
        ("PIXELRUSH_MATCHER__EVENTS", EVENTS),
    ];
    match &url {
        Some(url) => settings.extend([
            ("PIXELRUSH_ENGINE__POSTGRES__URL", url.as_str()),
            ("PIXELRUSH_ENGINE__POSTGRES__PASSWORD_FILE", &file),
        ]),
        None => settings.push(("PIXELRUSH_ENGINE__DATA_DIR", &data)),
    }
    let log = folder.join("log");
    Process::start(binary(), &[], settings, &log).unwrap_or_else(|error| panic!("{error}"))
}

struct Taker(Client);

impl Taker {
    async fn come(server: &Process, device: &str) -> Self {
        let address = server.address_for_clients();
        let login = login::guest(&address, device, "Ada")
            .await
            .expect("a login");
        let mut taker = Self(Client::connect(Options::new(vec![address], login.token)));
        taker
            .until("the match channel", |event| match event {
                SessionEvent::Channel(attached) => (attached.ch == Channel::Match).then_some(()),
                _ => None,
            })
            .await;
        taker
    }

    async fn until<T>(&mut self, what: &str, wanted: impl Fn(SessionEvent) -> Option<T>) -> T {
        let search = async {
            loop {
                let event = self.0.next().await.expect("the session goes on");
                if let Some(found) = wanted(event) {
                    return found;
                }
            }
        };
        let found = timeout(PATIENCE, search).await;
        found.unwrap_or_else(|_| panic!("{what} does not come"))
    }

    async fn ask(&mut self, message: ClientMessage) -> Result<EventSeat, ErrorMessage> {
        self.0.say(message).await;
        self.until("an answer", |event| match event {
            SessionEvent::EventSeat(seat) => Some(Ok(seat)),
            SessionEvent::Refused(error) => Some(Err(error)),
            _ => None,
        })
        .await
    }
}

fn gala() -> EventRef {
    EventRef {
        event: "gala".to_owned(),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_confirmed_seat_is_there_after_the_server_was_killed() {
    sold_and_killed(None).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_confirmed_seat_in_postgres_is_there_after_the_server_was_killed() {
    let database = PostgresServer::start();
    sold_and_killed(Some(&database)).await;
    let seats = database.query("SELECT event, seat FROM seats");
    assert_eq!(seats.trim(), "gala|1");
}

async fn sold_and_killed(database: Option<&PostgresServer>) {
    let folder = tempfile::tempdir().expect("a folder");
    let server = start(folder.path(), database);
    let mut one = Taker::come(&server, "a-device-of-one").await;
    let held = one
        .ask(ClientMessage::EventReserve(gala()))
        .await
        .expect("a seat");
    assert_eq!(held.state, SeatState::Reserved);
    let mut other = Taker::come(&server, "a-device-of-another").await;
    let full = other.ask(ClientMessage::EventReserve(gala())).await;
    let full = full.expect_err("there is one seat");
    assert_eq!(full.code, ErrorCode::EventFull);
    assert!(full.retry_after_ms.is_some(), "{full:?}");
    let sold = one
        .ask(ClientMessage::EventConfirm(gala()))
        .await
        .expect("kept");
    assert_eq!((sold.state, sold.seat), (SeatState::Confirmed, held.seat));
    drop(server);

    let server = start(folder.path(), database);
    let mut one = Taker::come(&server, "a-device-of-one").await;
    let seat = one
        .ask(ClientMessage::EventList(EventList::default()))
        .await;
    assert_eq!(seat.expect("told"), sold);
    let mut other = Taker::come(&server, "a-device-of-another").await;
    other
        .0
        .say(ClientMessage::EventList(EventList::default()))
        .await;
    let free = other
        .until("the events", |event| match event {
            SessionEvent::EventsListed(listed) => Some(listed.events[0].free),
            _ => None,
        })
        .await;
    assert_eq!(free, Some(0), "the board is warm");
    let full = other.ask(ClientMessage::EventReserve(gala())).await;
    // The answer to the list comes first.
    let full = match full {
        Ok(none) => {
            assert_eq!(none.state, SeatState::None);
            let refused = |event| match event {
                SessionEvent::Refused(error) => Some(error),
                _ => None,
            };
            other.until("a refusal", refused).await
        }
        Err(full) => full,
    };
    assert_eq!(
        (full.code, full.retry_after_ms),
        (ErrorCode::EventFull, None)
    );
}
