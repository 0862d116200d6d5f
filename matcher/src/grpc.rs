//! What gateways say, handed to the desk.

use std::sync::{Arc, Weak};

use rpc::inbound::Inbound;
use rpc::origin::{GatewayStream, Origin, OriginStream};
use tokio::sync::mpsc;

/// One item of one gateway.
#[derive(Debug)]
pub(crate) struct Mail {
    /// Which stream it came by.
    pub(crate) gateway: GatewayStream,
    /// Gone when the stream has ended.
    pub(crate) alive: Weak<()>,
    /// What it says.
    pub(crate) inbound: Inbound,
}

/// Accepts the gateways' streams.
#[derive(Debug)]
pub(crate) struct Gateways {
    /// Bounded. While it is full the streams are not read.
    mailbox: mpsc::Sender<Mail>,
}

impl Gateways {
    /// Hands everything to `mailbox`.
    pub(crate) fn new(mailbox: mpsc::Sender<Mail>) -> Self {
        Self { mailbox }
    }
}

impl Origin for Gateways {
    type Stream = Gateway;

    fn open(&self, gateway: GatewayStream) -> Gateway {
        Gateway {
            gateway,
            alive: Arc::new(()),
            mailbox: self.mailbox.clone(),
        }
    }
}

/// One gateway's stream. Dropping it tells the desk that the stream has ended.
#[derive(Debug)]
pub(crate) struct Gateway {
    gateway: GatewayStream,
    alive: Arc<()>,
    mailbox: mpsc::Sender<Mail>,
}

impl OriginStream for Gateway {
    async fn handle(&mut self, inbound: Inbound) {
        let mail = Mail {
            gateway: self.gateway.clone(),
            alive: Arc::downgrade(&self.alive),
            inbound,
        };
        // An error means that the desk has ended, and the stream ends with it.
        let _ = self.mailbox.send(mail).await;
    }
}
