//! A process dies at each point by name, between any two steps of a seat, a claim and a result.
//!
//! It takes minutes, so that `cargo test` leaves it out: `cargo xtask points`.

#[path = "chaos/run.rs"]
mod run;

use chassis::faults::Point;
use e2e::chaos::Fault;
use e2e::fleet::NodeRef;
use e2e::store::StoreKind;

use run::run;

/// Seats first, as there is an end of them.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_process_dies_between_any_two_steps_of_a_seat_a_claim_and_a_result() {
    let (seats, claims): (Vec<Point>, Vec<Point>) = matcher::faults::POINTS
        .into_iter()
        .partition(|point| point.0.contains(".seat."));
    let of_matcher = seats.into_iter().chain(claims);
    let of_matcher = of_matcher.map(|point| (NodeRef::matcher(0), point));
    let of_syncd = syncd::faults::POINTS.map(|point| (NodeRef::syncd(0), point));
    let faults = of_matcher
        .chain(of_syncd)
        .map(|(node, point)| Fault::Point {
            node,
            point: point.0,
            count: 1,
        });
    run(StoreKind::Single, 24, Some(400), faults.collect()).await;
}
