//! Players who want a seat of an event. They come one after the other, and those who are left all at
//! once; each asks until it has a seat for good or is told that all are sold.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use chassis::backoff::Backoff;
use client::address::Address;
use client::login::{self, Login};
use client::{Client, Options};
use protocol::control::{ClientMessage, ErrorCode, ErrorMessage, EventRef, EventSeat, SeatState};
use protocol::id::{PlayerId, SeatNumber};
use protocol::session::{Ended, SessionEvent};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, timeout};

use crate::history::{SeatTelling, SeatsTold};

/// Without an answer for this long a taker asks again.
const ASK_AGAIN: Duration = Duration::from_secs(2);

/// Who wants which seats.
#[derive(Debug, Clone)]
pub struct TakersPlan {
    /// Public addresses of the gateways.
    pub targets: Vec<Address>,
    /// The event.
    pub event: String,
    /// How many want a seat.
    pub takers: u64,
    /// Time from one to the next.
    pub every: Duration,
    /// Makes their ids.
    pub seed: u64,
}

/// Players who take seats. They end with this value.
#[derive(Debug)]
pub struct Takers {
    rush: watch::Sender<bool>,
    served: Arc<AtomicU64>,
    all: JoinSet<Vec<SeatTelling>>,
    takers: u64,
}

impl Takers {
    /// Lets them come.
    pub fn start(plan: &TakersPlan) -> Self {
        let (rush, rushed) = watch::channel(false);
        let served = Arc::new(AtomicU64::new(0));
        let mut all = JoinSet::new();
        for number in 0..plan.takers {
            let (plan, mut rushed, served) = (plan.clone(), rushed.clone(), Arc::clone(&served));
            all.spawn(async move {
                let turn = plan.every * u32::try_from(number).unwrap_or(u32::MAX);
                // An error means that nobody waits for the takers any more.
                let _ = timeout(turn, rushed.wait_for(|rush| *rush)).await;
                let tellings = Taker::come(plan, number).await.take().await;
                served.fetch_add(1, Ordering::Relaxed);
                tellings
            });
        }
        Self {
            rush,
            served,
            all,
            takers: plan.takers,
        }
    }

    /// Lets all come who have not, and waits until each has a seat or was told that there is none;
    /// gives what they were told. Who was not served in time is not waited for.
    pub async fn finish(mut self, patience: Duration) -> SeatsTold {
        self.rush.send_replace(true);
        let deadline = Instant::now() + patience;
        let mut told = SeatsTold {
            takers: self.takers,
            ..SeatsTold::default()
        };
        while let Ok(Some(taker)) = tokio::time::timeout_at(deadline, self.all.join_next()).await {
            told.tellings.extend(taker.into_iter().flatten());
        }
        told.served = self.served.load(Ordering::Relaxed);
        told
    }
}

struct Taker {
    plan: TakersPlan,
    number: u64,
    player: PlayerId,
    client: Client,
    tellings: Vec<SeatTelling>,
}

/// What an answer comes to.
enum Answer {
    /// Ask for this next, after that time.
    Next(ClientMessage, Duration),
    Served,
}

impl Taker {
    async fn come(plan: TakersPlan, number: u64) -> Self {
        let login = log_in(&plan, number).await;
        let options = Options::new(plan.targets.clone(), login.token);
        Self {
            client: Client::connect(options),
            plan,
            number,
            player: login.player,
            tellings: Vec::new(),
        }
    }

    /// Asks until served; gives everything that it was told for good.
    async fn take(mut self) -> Vec<SeatTelling> {
        let mut wish = self.reserve();
        let mut ask_at = Instant::now();
        loop {
            let due = ask_at.saturating_duration_since(Instant::now());
            let Ok(event) = timeout(due, self.client.next()).await else {
                self.client.say(wish.clone()).await;
                ask_at = Instant::now() + ASK_AGAIN;
                continue;
            };
            let answer = match event {
                Some(SessionEvent::EventSeat(seat)) => self.stands(&seat),
                Some(SessionEvent::Refused(error)) => self.refused(&error),
                Some(SessionEvent::Ended(Ended::LoginNeeded(_))) => {
                    let login = log_in(&self.plan, self.number).await;
                    self.client.log_in(login.token).await;
                    None
                }
                Some(_) => None,
                None => return self.tellings,
            };
            match answer {
                None => {}
                Some(Answer::Next(next, after)) => {
                    wish = next;
                    ask_at = Instant::now() + after;
                }
                Some(Answer::Served) => {
                    self.client.close().await;
                    return self.tellings;
                }
            }
        }
    }

    fn stands(&mut self, stand: &EventSeat) -> Option<Answer> {
        let confirm = ClientMessage::EventConfirm(self.event());
        match (stand.state, stand.seat) {
            (SeatState::None, _) => None,
            (SeatState::Confirmed, Some(seat)) => {
                self.told(Some(seat));
                Some(Answer::Served)
            }
            _ => Some(Answer::Next(confirm, Duration::ZERO)),
        }
    }

    fn refused(&mut self, error: &ErrorMessage) -> Option<Answer> {
        let again = error.retry_after_ms.map(Duration::from_millis);
        match (error.code, again) {
            (ErrorCode::EventFull, None) => {
                self.told(None);
                Some(Answer::Served)
            }
            (ErrorCode::SeatLapsed, _) => Some(Answer::Next(self.reserve(), Duration::ZERO)),
            (_, Some(again)) => Some(Answer::Next(self.reserve(), again)),
            // Asked again as if there had been no answer.
            _ => None,
        }
    }

    fn told(&mut self, seat: Option<SeatNumber>) {
        self.tellings.push(SeatTelling {
            player: self.player,
            seat,
        });
    }

    fn reserve(&self) -> ClientMessage {
        ClientMessage::EventReserve(self.event())
    }

    fn event(&self) -> EventRef {
        EventRef {
            event: self.plan.event.clone(),
        }
    }
}

/// Logs in at any gateway that answers.
async fn log_in(plan: &TakersPlan, number: u64) -> Login {
    let device = format!("taker-{}-{number}", plan.seed);
    let mut backoff = Backoff::new(Duration::from_millis(50), Duration::from_secs(1));
    let mut next = number as usize;
    loop {
        let target = &plan.targets[next % plan.targets.len()];
        match login::guest(target, &device, "Taker").await {
            Ok(login) => return login,
            Err(_) => sleep(backoff.next()).await,
        }
        next += 1;
    }
}
