//! PixelRush as its users run it: real processes, real sockets.

#[path = "it/deployment.rs"]
mod deployment;
#[path = "it/failover.rs"]
mod failover;
#[path = "it/operator.rs"]
mod operator;
#[path = "it/single.rs"]
mod single;
