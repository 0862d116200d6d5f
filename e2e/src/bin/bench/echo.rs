//! Processor time of an echo: 64 bytes, 200 connections, each of which sends the next message
//! when the last one is back.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use pixelrush_e2e::process::Process;

use crate::poller::Poller;
use crate::server::{Launcher, Placing, processor_time};
use crate::session::unexpected;
use crate::wire::{self, BINARY, Dialer};
use crate::{BenchError, Pair, Sample, system};

/// Connections that are busy.
const CONNECTIONS: usize = 200;

/// Bytes of a message.
const MESSAGE: usize = 64;

/// Of each round: until caches are warm, and then what is counted.
const WARM_UP: Duration = Duration::from_millis(200);
const COUNTED: Duration = Duration::from_secs(1);

/// A server that answers nothing for this long has lost a message.
const PATIENCE: Duration = Duration::from_secs(5);

/// Runs it, in turns.
pub(crate) fn measure(launcher: &Launcher, rounds: usize) -> Result<Vec<Pair>, BenchError> {
    let gateway = launcher.gateway(Placing::OneCore)?;
    let bare = launcher.bare()?;
    let mut dialer = Dialer::default();
    (1..=rounds)
        .map(|number| {
            let gateway = round(
                gateway.process(),
                &mut dialer,
                gateway.private(),
                "/debug/echo",
            )?;
            let bare = round(&bare, &mut dialer, bare.address(), "/")?;
            let ratio = gateway.micros / bare.micros;
            eprintln!(
                "echo: round {number} of {rounds}: gateway {:.2} us, bare {:.2} us, x {ratio:.2}",
                gateway.micros, bare.micros
            );
            Ok(Pair { gateway, bare })
        })
        .collect()
}

struct Busy {
    stream: TcpStream,
    /// Bytes of the echo that are back.
    back: usize,
}

fn round(
    server: &Process,
    dialer: &mut Dialer,
    address: SocketAddr,
    path: &str,
) -> Result<Sample, BenchError> {
    let mut poller = Poller::new().map_err(system("make an epoll"))?;
    let message = wire::masked(BINARY, &[0x5a; MESSAGE]);
    let mut connections = Vec::with_capacity(CONNECTIONS);
    for token in 0..CONNECTIONS {
        let stream = open(dialer, address, path)?;
        poller
            .add(&stream, token)
            .map_err(system("watch a socket"))?;
        (&stream)
            .write_all(&message)
            .map_err(system("write to the server"))?;
        connections.push(Busy { stream, back: 0 });
    }
    run_for(WARM_UP, &mut poller, &mut connections, &message)?;
    let (before, began) = (processor_time(server)?, Instant::now());
    let echoes = run_for(COUNTED, &mut poller, &mut connections, &message)?;
    let (spent, took) = (
        processor_time(server)?.saturating_sub(before),
        began.elapsed(),
    );
    Ok(Sample::of(spent, echoes, took))
}

/// Gives how many echoes came back.
fn run_for(
    limit: Duration,
    poller: &mut Poller,
    connections: &mut [Busy],
    message: &[u8],
) -> Result<u64, BenchError> {
    let began = Instant::now();
    let (mut ready, mut buffer, mut echoes) = (Vec::new(), [0; 4096], 0);
    while began.elapsed() < limit {
        poller
            .wait(Some(PATIENCE), &mut ready)
            .map_err(system("wait for echoes"))?;
        if ready.is_empty() {
            return Err(unexpected("an echo", b"nothing"));
        }
        for &token in &ready {
            let busy = &mut connections[token];
            let count = busy
                .stream
                .read(&mut buffer)
                .map_err(system("read an echo"))?;
            busy.back += count;
            // Two bytes of head, and the message.
            if count == 0 || busy.back > MESSAGE + 2 {
                return Err(unexpected("an echo", &buffer[..count]));
            }
            if busy.back == MESSAGE + 2 {
                busy.back = 0;
                echoes += 1;
                busy.stream
                    .write_all(message)
                    .map_err(system("write to the server"))?;
            }
        }
    }
    Ok(echoes)
}

/// A WebSocket whose socket does not block.
fn open(dialer: &mut Dialer, address: SocketAddr, path: &str) -> Result<TcpStream, BenchError> {
    let mut stream = dialer.connect(address).map_err(system("connect"))?;
    stream
        .write_all(&wire::request(path, None))
        .map_err(system("ask for a WebSocket"))?;
    let (mut head, mut buffer) = (Vec::new(), [0; 1024]);
    while wire::head_end(&head).is_none() {
        match stream
            .read(&mut buffer)
            .map_err(system("read a handshake"))?
        {
            0 => return Err(unexpected("an upgrade", &head)),
            count => head.extend_from_slice(&buffer[..count]),
        }
    }
    if !wire::is_switched(&head) {
        return Err(unexpected("an upgrade", &head));
    }
    stream
        .set_nonblocking(true)
        .map_err(system("unblock a socket"))?;
    Ok(stream)
}
