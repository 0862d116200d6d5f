//! Contracts between the PixelRush services, and how they reach each other.
//!
//! - [`pb`]: the protobuf messages and gRPC services, generated at build time from `proto/`
//! - [`origin`]: the server's half of the stream between a gateway and an origin (matcher, syncd)
//! - [`batch`]: what an origin sends, typed
//! - [`inbound`]: what an origin receives, typed
//! - [`transport`]: the same gRPC over TCP or inside one process
//! - [`token`]: signed tokens: access, resume, room

pub mod batch;
pub mod inbound;
pub mod origin;
pub mod token;
pub mod transport;

/// Generated from `proto/`.
pub mod pb {
    #![allow(missing_docs, unreachable_pub, clippy::all)]
    tonic::include_proto!("pixelrush.v1");
}
