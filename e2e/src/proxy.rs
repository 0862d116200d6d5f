//! A TCP proxy that can be told to fail like a network: cut connections, or swallow every byte
//! while both ends go on believing.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

/// What the network does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Weather {
    /// Carries everything.
    Fair,
    /// Carries nothing; connections stay up, new ones are accepted and lead nowhere.
    BlackHole,
    /// Resets every connection, and each new one.
    Cut,
}

/// A proxy in front of one address.
#[derive(Debug)]
pub struct Proxy {
    address: SocketAddr,
    weather: Arc<watch::Sender<Weather>>,
}

impl Proxy {
    /// Starts a proxy on a free port; it runs until it is dropped.
    ///
    /// # Errors
    /// If no port can be bound.
    pub async fn start(target: SocketAddr) -> io::Result<Self> {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
        let address = listener.local_addr()?;
        let (weather, forecast) = watch::channel(Weather::Fair);
        tokio::spawn(accept(listener, target, forecast));
        Ok(Self {
            address,
            weather: Arc::new(weather),
        })
    }

    /// Where to connect to.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Changes what the network does, for all connections at once.
    pub fn set(&self, weather: Weather) {
        self.weather.send_replace(weather);
    }
}

async fn accept(listener: TcpListener, target: SocketAddr, forecast: watch::Receiver<Weather>) {
    let mut over = forecast.clone();
    loop {
        let client = tokio::select! {
            accepted = listener.accept() => match accepted {
                Ok((client, _)) => client,
                Err(_) => continue,
            },
            // The proxy was dropped.
            () = gone(&mut over) => return,
        };
        let forecast = forecast.clone();
        tokio::spawn(async move {
            let Ok(server) = TcpStream::connect(target).await else {
                return;
            };
            let (client_read, client_write) = client.into_split();
            let (server_read, server_write) = server.into_split();
            tokio::select! {
                () = carry(client_read, server_write, forecast.clone()) => {}
                () = carry(server_read, client_write, forecast) => {}
            }
        });
    }
}

async fn gone(forecast: &mut watch::Receiver<Weather>) {
    while forecast.changed().await.is_ok() {}
}

async fn carry(
    mut from: OwnedReadHalf,
    mut to: OwnedWriteHalf,
    mut forecast: watch::Receiver<Weather>,
) {
    let mut buffer = vec![0; 16 * 1024];
    loop {
        let weather = *forecast.borrow_and_update();
        let count = tokio::select! {
            changed = forecast.changed() => {
                if changed.is_err() {
                    return;
                }
                continue;
            }
            count = from.read(&mut buffer), if weather == Weather::Fair => count,
            () = std::future::ready(()), if weather == Weather::Cut => return,
        };
        match count {
            Ok(0) | Err(_) => return,
            Ok(count) => {
                if to.write_all(&buffer[..count]).await.is_err() {
                    return;
                }
            }
        }
    }
}
