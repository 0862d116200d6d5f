//! RFC 6455 against `/debug/echo`, section by section, as a strict suite would try it: what is
//! right comes back unchanged, what is wrong is failed at once and with the right code.

mod close;
mod fragments;
mod framing;
mod handshake;
mod limits;
mod pings;
mod reserved;
mod utf8;
