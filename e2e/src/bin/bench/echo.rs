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

/// Of each round: until caches are warm, and then what is counted. Short, so that the two servers
/// take turns quickly and what disturbs the machine for a while hits both.
const WARM_UP: Duration = Duration::from_millis(50);
const COUNTED: Duration = Duration::from_millis(400);

/// A server that answers nothing for this long has lost a message.
const PATIENCE: Duration = Duration::from_secs(5);

/// Runs it, in turns.
pub(crate) fn measure(launcher: &Launcher, rounds: usize) -> Result<Vec<Pair>, BenchError> {
    let gateway = launcher.gateway(Placing::OneCore)?;
    let bare = launcher.bare()?;
    let mut dialer = Dialer::default();
    let mut to_gateway = Crowd::open(&mut dialer, gateway.private(), "/debug/echo")?;
    let mut to_bare = Crowd::open(&mut dialer, bare.address(), "/")?;
    (1..=rounds)
        .map(|number| {
            let gateway = to_gateway.round(gateway.process())?;
            let bare = to_bare.round(&bare)?;
            let ratio = gateway.micros / bare.micros;
            eprintln!(
                "echo: round {number} of {rounds}: gateway {:.2} us, bare {:.2} us, x {ratio:.2}",
                gateway.micros, bare.micros
            );
            Ok(Pair { gateway, bare })
        })
        .collect()
}

/// The connections to one server.
struct Crowd {
    poller: Poller,
    connections: Vec<Busy>,
    message: Vec<u8>,
}

struct Busy {
    stream: TcpStream,
    /// Bytes of the echo that are back.
    back: usize,
}

impl Crowd {
    fn open(dialer: &mut Dialer, address: SocketAddr, path: &str) -> Result<Self, BenchError> {
        let poller = Poller::new().map_err(system("make an epoll"))?;
        let mut connections = Vec::with_capacity(CONNECTIONS);
        for token in 0..CONNECTIONS {
            let stream = open(dialer, address, path)?;
            poller
                .add(&stream, token)
                .map_err(system("watch a socket"))?;
            connections.push(Busy { stream, back: 0 });
        }
        let message = wire::masked(BINARY, &[0x5a; MESSAGE]);
        Ok(Self {
            poller,
            connections,
            message,
        })
    }

    fn round(&mut self, server: &Process) -> Result<Sample, BenchError> {
        self.run(WARM_UP)?;
        let (before, began) = (processor_time(server)?, Instant::now());
        let echoes = self.run(COUNTED)?;
        let (spent, took) = (
            processor_time(server)?.saturating_sub(before),
            began.elapsed(),
        );
        Ok(Sample::of(spent, echoes, took))
    }

    /// Keeps everybody busy for so long, and then until everybody's last message is back. Gives
    /// how many echoes came.
    fn run(&mut self, limit: Duration) -> Result<u64, BenchError> {
        let began = Instant::now();
        let (mut ready, mut buffer) = (Vec::new(), [0; 4096]);
        let (mut echoes, mut under_way) = (0, 0);
        for busy in &mut self.connections {
            busy.stream
                .write_all(&self.message)
                .map_err(system("write to the server"))?;
            under_way += 1;
        }
        while under_way > 0 {
            self.poller
                .wait(Some(PATIENCE), &mut ready)
                .map_err(system("wait for echoes"))?;
            if ready.is_empty() {
                return Err(unexpected("an echo", b"nothing"));
            }
            let go_on = began.elapsed() < limit;
            for &token in &ready {
                let busy = &mut self.connections[token];
                let count = busy
                    .stream
                    .read(&mut buffer)
                    .map_err(system("read an echo"))?;
                busy.back += count;
                // Two bytes of head, and the message.
                if count == 0 || busy.back > MESSAGE + 2 {
                    return Err(unexpected("an echo", &buffer[..count]));
                }
                if busy.back < MESSAGE + 2 {
                    continue;
                }
                busy.back = 0;
                echoes += 1;
                if go_on {
                    busy.stream
                        .write_all(&self.message)
                        .map_err(system("write to the server"))?;
                } else {
                    under_way -= 1;
                }
            }
        }
        Ok(echoes)
    }
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
