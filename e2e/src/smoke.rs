//! The smoke suite: does a deployment do what it is for? Minutes at most; it needs nothing but
//! the public address.

use std::future::Future;
use std::time::{Duration, Instant};

use client::address::Address;

use crate::junit::Case;

mod cases;
mod race;

/// How to run the suite.
#[derive(Debug, Clone)]
pub struct Options {
    /// The public addresses of the gateways; one is enough.
    pub targets: Vec<Address>,
    /// The mode to play.
    pub mode: String,
    /// Longest that one case may take.
    pub patience: Duration,
}

/// Runs every case in turn and tells of each as it ends.
pub async fn run(options: &Options, mut tell: impl FnMut(&Case)) -> Vec<Case> {
    let mut cases = Vec::new();
    let mut add = |case: Case| {
        tell(&case);
        cases.push(case);
    };
    let first = &options.targets[0];
    let patience = options.patience;
    add(case("the page is served", patience, cases::page(first)).await);
    add(case("a guest can log in", patience, cases::login(first)).await);
    add(case(
        "a bad login is told what is wrong",
        patience,
        cases::bad_login(first),
    )
    .await);
    add(case("a session is welcomed", patience, cases::welcome(first)).await);
    add(case(
        "a forged token is turned away",
        patience,
        cases::forged(first),
    )
    .await);
    add(case(
        "a wrong message is told what is wrong",
        patience,
        cases::wrong_message(first),
    )
    .await);
    add(case(
        "a second login replaces the first",
        patience,
        cases::second_login(first),
    )
    .await);
    let race = race::whole(options);
    add(case(
        "a race is found, driven, cut, resumed, returned to by a refresh and from another device, \
         and finished",
        patience,
        race,
    )
    .await);
    cases
}

async fn case(
    name: &'static str,
    patience: Duration,
    body: impl Future<Output = Result<(), String>>,
) -> Case {
    let began = Instant::now();
    let outcome = tokio::time::timeout(patience, body).await;
    let failure = match outcome {
        Ok(Ok(())) => None,
        Ok(Err(failure)) => Some(failure),
        Err(_) => Some(format!("not done within {patience:?}")),
    };
    Case {
        name,
        took: began.elapsed(),
        failure,
    }
}
