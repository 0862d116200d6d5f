//! PixelRush as its users run it: real processes, real sockets.

#[path = "it/failover.rs"]
mod failover;
#[path = "it/operator.rs"]
mod operator;
#[path = "it/ratings.rs"]
mod ratings;
#[path = "it/seats.rs"]
mod seats;
#[path = "it/single.rs"]
mod single;
#[path = "it/succession.rs"]
mod succession;
#[path = "it/survive.rs"]
mod survive;
#[path = "it/watch.rs"]
mod watch;

/// The binary under test.
fn binary() -> &'static std::path::Path {
    std::path::Path::new(env!("CARGO_BIN_EXE_pixelrush"))
}
