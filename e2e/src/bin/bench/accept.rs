//! Processor time of a WebSocket from TCP's handshake to the response that switches protocols,
//! before login, and of the end of it: the client closes the socket when it has the response.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use e2e::process::Process;

use crate::echo::{Round, Sample};
use crate::poller::Poller;
use crate::server::{Launcher, Placing, processor_time};
use crate::session::unexpected;
use crate::wire;
use crate::{BenchError, system};

/// Handshakes that are under way at any moment.
const AT_ONCE: usize = 64;

/// Of each round: until caches are warm, and then what is counted.
const WARM_UP: usize = 2_000;
const COUNTED: usize = 20_000;

/// A server that answers nothing for this long has lost a connection.
const PATIENCE: Duration = Duration::from_secs(5);

/// For the server to notice that the last clients have gone.
const REST: Duration = Duration::from_millis(100);

/// Runs it, in turns.
pub(crate) fn measure(launcher: &Launcher, rounds: usize) -> Result<Vec<Round>, BenchError> {
    let gateway = launcher.gateway(Placing::OneCore)?;
    let bare = launcher.bare()?;
    (1..=rounds)
        .map(|number| {
            let gateway = round(gateway.process(), gateway.public())?;
            let bare = round(&bare, bare.address())?;
            eprintln!(
                "accept: round {number} of {rounds}: gateway {:.1} us, bare {:.1} us",
                gateway.micros, bare.micros
            );
            Ok(Round { gateway, bare })
        })
        .collect()
}

fn round(server: &Process, address: SocketAddr) -> Result<Sample, BenchError> {
    accept(WARM_UP, address)?;
    std::thread::sleep(REST);
    let (before, began) = (processor_time(server)?, Instant::now());
    accept(COUNTED, address)?;
    let took = began.elapsed();
    std::thread::sleep(REST);
    let spent = processor_time(server)?.saturating_sub(before);
    Ok(Sample {
        micros: spent.as_secs_f64() * 1e6 / COUNTED as f64,
        rate: COUNTED as f64 / took.as_secs_f64(),
    })
}

/// Opens and closes `count` WebSockets.
fn accept(count: usize, address: SocketAddr) -> Result<(), BenchError> {
    let mut poller = Poller::new().map_err(system("make an epoll"))?;
    let request = wire::request("/v1/ws", Some(protocol::SUBPROTOCOL));
    let mut sockets: Vec<Option<TcpStream>> = Vec::with_capacity(AT_ONCE);
    let mut begun = 0;
    for token in 0..AT_ONCE {
        sockets.push(Some(begin(&poller, address, &request, begun, token)?));
        begun += 1;
    }
    let (mut ready, mut buffer, mut done) = (Vec::new(), [0; 2048], 0);
    while done < count {
        poller.wait(Some(PATIENCE), &mut ready).map_err(system("wait for handshakes"))?;
        if ready.is_empty() {
            return Err(unexpected("an upgrade", b"nothing"));
        }
        for &token in &ready {
            let Some(mut socket) = sockets[token].take() else { continue };
            let read = socket.read(&mut buffer).map_err(system("read a handshake"))?;
            // Both servers write the response whole.
            if !wire::is_switched(&buffer[..read]) || wire::head_end(&buffer[..read]).is_none() {
                return Err(unexpected("an upgrade", &buffer[..read]));
            }
            drop(socket);
            done += 1;
            if begun < count {
                sockets[token] = Some(begin(&poller, address, &request, begun, token)?);
                begun += 1;
            }
        }
    }
    Ok(())
}

fn begin(
    poller: &Poller,
    address: SocketAddr,
    request: &[u8],
    index: usize,
    token: usize,
) -> Result<TcpStream, BenchError> {
    let mut socket = wire::connect(address, index).map_err(system("connect"))?;
    socket.write_all(request).map_err(system("ask for a WebSocket"))?;
    poller.add(&socket, token).map_err(system("watch a socket"))?;
    Ok(socket)
}
