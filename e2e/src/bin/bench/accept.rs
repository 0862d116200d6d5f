//! Processor time of a WebSocket from TCP's handshake to the response that switches protocols,
//! before login; and, on its own, of its end: the client closes the socket without a word.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use pixelrush_e2e::process::Process;

use crate::poller::Poller;
use crate::server::{Launcher, Placing, processor_time};
use crate::session::unexpected;
use crate::wire::{self, Dialer};
use crate::{BenchError, Pair, Sample, system};

/// Handshakes that are under way at any moment.
const AT_ONCE: usize = 64;

/// WebSockets that are opened, and then closed, in one round.
const COUNT: usize = 8_000;

/// A server that answers nothing for this long has lost a connection.
const PATIENCE: Duration = Duration::from_secs(5);

/// For the server to come to rest.
const REST: Duration = Duration::from_millis(200);

/// What was measured.
#[derive(Debug)]
pub(crate) struct Accepts {
    pub(crate) accept: Vec<Pair>,
    pub(crate) close: Vec<Pair>,
}

/// Runs it, in turns.
pub(crate) fn measure(launcher: &Launcher, rounds: usize) -> Result<Accepts, BenchError> {
    let gateway = launcher.gateway(Placing::OneCore)?;
    let bare = launcher.bare()?;
    let mut dialer = Dialer::default();
    // What is touched once is no cost of a connection.
    round(gateway.process(), &mut dialer, gateway.public())?;
    round(&bare, &mut dialer, bare.address())?;
    let mut accepts = Accepts {
        accept: Vec::new(),
        close: Vec::new(),
    };
    for number in 1..=rounds {
        let (gateway_accept, gateway_close) =
            round(gateway.process(), &mut dialer, gateway.public())?;
        let (bare_accept, bare_close) = round(&bare, &mut dialer, bare.address())?;
        eprintln!(
            "accept: round {number} of {rounds}: gateway {:.1} us + {:.1} us, bare {:.1} us + {:.1} us",
            gateway_accept.micros, gateway_close.micros, bare_accept.micros, bare_close.micros
        );
        accepts.accept.push(Pair {
            gateway: gateway_accept,
            bare: bare_accept,
        });
        accepts.close.push(Pair {
            gateway: gateway_close,
            bare: bare_close,
        });
    }
    Ok(accepts)
}

fn round(
    server: &Process,
    dialer: &mut Dialer,
    address: SocketAddr,
) -> Result<(Sample, Sample), BenchError> {
    let (before, began) = (processor_time(server)?, Instant::now());
    let sockets = accept(dialer, address)?;
    let took = began.elapsed();
    std::thread::sleep(REST);
    let accepted = processor_time(server)?;
    let began = Instant::now();
    drop(sockets);
    let closing = began.elapsed();
    std::thread::sleep(REST);
    let closed = processor_time(server)?;
    Ok((
        Sample::of(accepted.saturating_sub(before), COUNT as u64, took),
        Sample::of(closed.saturating_sub(accepted), COUNT as u64, closing),
    ))
}

/// Opens WebSockets.
fn accept(dialer: &mut Dialer, address: SocketAddr) -> Result<Vec<TcpStream>, BenchError> {
    let mut poller = Poller::new().map_err(system("make an epoll"))?;
    let request = wire::request("/v1/ws", Some(protocol::SUBPROTOCOL));
    let mut sockets: Vec<TcpStream> = Vec::with_capacity(COUNT);
    let (mut ready, mut buffer, mut done) = (Vec::new(), [0; 2048], 0);
    while done < COUNT {
        while sockets.len() < COUNT && sockets.len() - done < AT_ONCE {
            let mut socket = dialer.connect(address).map_err(system("connect"))?;
            socket
                .write_all(&request)
                .map_err(system("ask for a WebSocket"))?;
            poller
                .add(&socket, sockets.len())
                .map_err(system("watch a socket"))?;
            sockets.push(socket);
        }
        poller
            .wait(Some(PATIENCE), &mut ready)
            .map_err(system("wait for handshakes"))?;
        if ready.is_empty() {
            return Err(unexpected("an upgrade", b"nothing"));
        }
        for &token in &ready {
            let count = sockets[token]
                .read(&mut buffer)
                .map_err(system("read a handshake"))?;
            // Both servers write the response whole.
            if !wire::is_switched(&buffer[..count]) || wire::head_end(&buffer[..count]).is_none() {
                return Err(unexpected("an upgrade", &buffer[..count]));
            }
            done += 1;
        }
    }
    Ok(sockets)
}
