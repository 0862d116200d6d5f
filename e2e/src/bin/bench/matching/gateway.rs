//! A gateway's stream to the matcher, full of players.

use std::sync::Arc;
use std::time::Duration;

use protocol::frame::Frame;
use rpc::pb;
use rpc::pb::from_origin_item::Item as FromItem;
use rpc::pb::origin_client::OriginClient;
use rpc::pb::to_origin_item::Item as ToItem;
use rpc::transport::{Endpoint, MAX_RPC_MESSAGE};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio::time::{Instant, MissedTickBehavior, interval};
use tokio_stream::wrappers::ReceiverStream;

use super::population::Population;
use crate::BenchError;

/// What came since is sent this often.
const EVERY: Duration = Duration::from_millis(2);

pub(super) struct Gateway {
    outbound: mpsc::Sender<pb::ToOrigin>,
    population: Arc<Population>,
}

impl Gateway {
    pub(super) async fn open(
        url: &str,
        number: usize,
        population: Arc<Population>,
    ) -> Result<Self, BenchError> {
        let failed = |reason: String| BenchError::Failed {
            what: "link to the matcher",
            reason,
        };
        let channel = Endpoint::tcp(url).connect(Duration::from_secs(5)).await;
        let channel = channel.map_err(|error| failed(error.to_string()))?;
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
        let stream = answer.map_err(|error| failed(error.to_string()))?;
        tokio::spawn(read(
            stream.into_inner(),
            outbound.clone(),
            Arc::clone(&population),
        ));
        tokio::spawn(beat(outbound.clone()));
        Ok(Self {
            outbound,
            population,
        })
    }

    /// Lets so many tickets a second come, until the task is aborted.
    pub(super) fn inject(&self, rate: u64) -> JoinHandle<()> {
        let (outbound, population) = (self.outbound.clone(), Arc::clone(&self.population));
        tokio::spawn(async move {
            let began = Instant::now();
            let mut sent = 0;
            let mut ticks = interval(EVERY);
            ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
            loop {
                ticks.tick().await;
                let due = (began.elapsed().as_secs_f64() * rate as f64) as u64;
                let mut items = Vec::new();
                while sent < due && items.len() < 4096 {
                    sent += 1;
                    let coming = population.come();
                    for (player, rating) in coming.players {
                        items.push(attach(player, rating));
                        items.push(ToItem::Text(pb::ClientText {
                            session: player,
                            text: coming.join.clone(),
                        }));
                    }
                }
                if !items.is_empty() {
                    send(&outbound, items).await;
                }
            }
        })
    }
}

fn attach(player: u64, rating: i32) -> ToItem {
    ToItem::Attach(pb::Attach {
        session: player,
        player,
        instance: player,
        attempt: 1,
        login: true,
        mode: pb::AttachMode::Fresh.into(),
        name: format!("player {player}"),
        rating,
        ..pb::Attach::default()
    })
}

async fn send(outbound: &mpsc::Sender<pb::ToOrigin>, items: Vec<ToItem>) {
    let items = items
        .into_iter()
        .map(|item| pb::ToOriginItem { item: Some(item) })
        .collect();
    // An error means that the measurement is over.
    let _ = outbound.send(pb::ToOrigin { items }).await;
}

async fn beat(outbound: mpsc::Sender<pb::ToOrigin>) {
    let mut ticks = interval(Duration::from_secs(1));
    while !outbound.is_closed() {
        ticks.tick().await;
        send(&outbound, vec![ToItem::Beat(pb::Beat {})]).await;
    }
}

/// Answers as clients do: events are acknowledged, and whoever has played leaves.
async fn read(
    mut stream: tonic::Streaming<pb::FromOrigin>,
    outbound: mpsc::Sender<pb::ToOrigin>,
    population: Arc<Population>,
) {
    while let Ok(Some(message)) = stream.message().await {
        let mut answers = Vec::new();
        for item in message.items.into_iter().filter_map(|item| item.item) {
            match item {
                FromItem::Text(text) if text.text.contains("queue.state") => {
                    population.has_joined(text.session);
                }
                FromItem::Event(event) => take(&event, &population, &mut answers),
                _ => {}
            }
        }
        if !answers.is_empty() {
            send(&outbound, answers).await;
        }
    }
}

fn take(event: &pb::Event, population: &Population, answers: &mut Vec<ToItem>) {
    let session = event.session;
    let Ok(Frame::Event(event)) = Frame::decode(&event.frame) else {
        return;
    };
    answers.push(ToItem::Ack(pb::Ack {
        session,
        epoch: event.epoch.0,
        offset: event.offset.0,
        resend: false,
    }));
    if event.payload.starts_with(br#"{"e":"match.found""#) {
        population.is_told(session);
    } else {
        answers.push(ToItem::Detach(pb::Detach {
            session,
            attempt: 1,
            leave: true,
        }));
    }
}
