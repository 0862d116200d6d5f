//! Sessions of one matcher, over one gateway's stream.

use std::collections::BTreeMap;
use std::ops::Range;
use std::time::Duration;

use rpc::pb;
use rpc::pb::from_origin_item::Item as FromItem;
use rpc::pb::origin_client::OriginClient;
use rpc::pb::to_origin_item::Item as ToItem;
use rpc::transport::{Endpoint, MAX_RPC_MESSAGE};
use tokio::sync::mpsc;
use tokio::time::{Instant, timeout};
use tokio_stream::wrappers::ReceiverStream;

use crate::BenchError;

/// Items of one message: what a gateway gathers in a moment.
const BATCH: usize = 256;

/// Longest that the stream may be silent while something is owed.
const PATIENCE: Duration = Duration::from_secs(20);

pub(super) struct Takers {
    outbound: mpsc::Sender<pb::ToOrigin>,
    stream: tonic::Streaming<pb::FromOrigin>,
    players: Range<u64>,
}

/// What came of asking.
#[derive(Debug, Default)]
pub(super) struct Answers {
    /// Who has a seat, and which.
    pub(super) held: Vec<(u64, u64)>,
    /// From each question to its answer, in milliseconds.
    pub(super) latencies: Vec<f64>,
}

impl Takers {
    /// Attaches players.
    pub(super) async fn open(
        url: &str,
        number: u64,
        players: Range<u64>,
    ) -> Result<Self, BenchError> {
        let channel = Endpoint::tcp(url).connect(Duration::from_secs(5)).await;
        let channel = channel.map_err(|error| failed(&error.to_string()))?;
        let (outbound, receiver) = mpsc::channel(1024);
        let hello = ToItem::Hello(pb::GatewayHello {
            node: format!("gateway-{number}"),
            build: "bench".to_owned(),
            ..pb::GatewayHello::default()
        });
        send(&outbound, vec![hello]).await;
        let answer = OriginClient::new(channel)
            .max_decoding_message_size(MAX_RPC_MESSAGE)
            .link(ReceiverStream::new(receiver))
            .await;
        let stream = answer
            .map_err(|error| failed(&error.to_string()))?
            .into_inner();
        let beating = outbound.clone();
        tokio::spawn(async move {
            let mut ticks = tokio::time::interval(Duration::from_millis(500));
            while !beating.is_closed() {
                ticks.tick().await;
                send(&beating, vec![ToItem::Beat(pb::Beat {})]).await;
            }
        });
        let mut takers = Self {
            outbound,
            stream,
            players,
        };
        takers.attach().await?;
        Ok(takers)
    }

    async fn attach(&mut self) -> Result<(), BenchError> {
        let all: Vec<u64> = self.players.clone().collect();
        for some in all.chunks(BATCH) {
            let items = some.iter().map(|player| attach(*player)).collect();
            send(&self.outbound, items).await;
            let mut attached = 0;
            while attached < some.len() {
                for item in self.next().await? {
                    attached += usize::from(matches!(item, FromItem::Attached(_)));
                }
            }
        }
        Ok(())
    }

    /// All of them ask at once, or these alone.
    pub(super) async fn ask(
        &mut self,
        what: &str,
        players: Option<Vec<u64>>,
    ) -> Result<Answers, BenchError> {
        let players = players.unwrap_or_else(|| self.players.clone().collect());
        let owed = players.len();
        let text = format!(r#"{{"t":"event.{what}","event":"gala"}}"#);
        let outbound = self.outbound.clone();
        let (asked, mut when) = mpsc::unbounded_channel();
        let asking = tokio::spawn(async move {
            for some in players.chunks(BATCH) {
                let question = |player: &u64| {
                    ToItem::Text(pb::ClientText {
                        session: *player,
                        text: text.clone(),
                    })
                };
                let _ = asked.send((some.to_vec(), Instant::now()));
                send(&outbound, some.iter().map(question).collect()).await;
            }
        });
        let mut began = BTreeMap::new();
        let mut answers = Answers::default();
        while answers.latencies.len() < owed {
            for item in self.next().await? {
                let FromItem::Text(text) = item else { continue };
                while let Ok((some, at)) = when.try_recv() {
                    began.extend(some.into_iter().map(|player| (player, at)));
                }
                let Some(at) = began.remove(&text.session) else {
                    return Err(failed("an answer that nobody asked for"));
                };
                answers.latencies.push(at.elapsed().as_secs_f64() * 1000.0);
                if let Some(seat) = seat_of(&text.text)? {
                    answers.held.push((text.session, seat));
                }
            }
        }
        asking.await.map_err(|error| failed(&error.to_string()))?;
        Ok(answers)
    }

    async fn next(&mut self) -> Result<Vec<FromItem>, BenchError> {
        let message = timeout(PATIENCE, self.stream.message()).await;
        let message = message.map_err(|_| failed("the matcher is silent"))?;
        let message = message.map_err(|status| failed(status.message()))?;
        let message = message.ok_or_else(|| failed("the stream ended"))?;
        Ok(message
            .items
            .into_iter()
            .filter_map(|item| item.item)
            .collect())
    }
}

/// The seat, if the answer is one; `None` if it is that there is none left.
fn seat_of(text: &str) -> Result<Option<u64>, BenchError> {
    if text.contains(r#""event_full""#) {
        return Ok(None);
    }
    let seat = text.split_once(r#""seat":"#).map(|(_, rest)| {
        let digits = rest.find(|c: char| !c.is_ascii_digit());
        rest[..digits.unwrap_or(rest.len())].parse().ok()
    });
    match seat.flatten() {
        Some(seat) => Ok(Some(seat)),
        None => Err(failed(text)),
    }
}

fn attach(player: u64) -> ToItem {
    ToItem::Attach(pb::Attach {
        session: player,
        player,
        instance: player,
        attempt: 1,
        login: true,
        mode: pb::AttachMode::Fresh.into(),
        name: format!("player {player}"),
        ..pb::Attach::default()
    })
}

async fn send(outbound: &mpsc::Sender<pb::ToOrigin>, items: Vec<ToItem>) {
    let items = items
        .into_iter()
        .map(|item| pb::ToOriginItem { item: Some(item) });
    let items = items.collect();
    // An error means that the measurement is over.
    let _ = outbound.send(pb::ToOrigin { items }).await;
}

fn failed(reason: &str) -> BenchError {
    BenchError::Failed {
        what: "ask a matcher",
        reason: reason.to_owned(),
    }
}
