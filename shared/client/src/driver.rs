//! The task that owns a session and its socket.

use std::net::IpAddr;
use std::pin::Pin;
use std::time::Duration;

use futures_util::{Sink, SinkExt, StreamExt};
use protocol::session::{Output, Session, SessionEvent};
use tokio::sync::mpsc;
use tokio::sync::mpsc::error::TrySendError;
use tokio::time::{sleep, timeout};
use tokio_tungstenite::tungstenite::Error;
use tokio_tungstenite::tungstenite::protocol::{CloseFrame, Message};

use crate::address::Address;
use crate::socket::{Socket, connect};
use crate::{Command, Options, now};

/// Longest that a close is waited for.
const CLOSE_PATIENCE: Duration = Duration::from_millis(500);

type Connecting = Pin<Box<dyn Future<Output = Result<Socket, Error>> + Send>>;

pub(crate) struct Driver {
    addresses: Vec<Address>,
    session: Session,
    commands: mpsc::Receiver<Command>,
    events: mpsc::Sender<SessionEvent>,
    socket: Option<Socket>,
    connecting: Option<Connecting>,
    local: Option<IpAddr>,
}

/// What happened.
enum Happening {
    Connected(Result<Socket, Error>),
    Message(Option<Result<Message, Error>>),
    Command(Option<Command>),
    Deadline,
}

impl Driver {
    pub(crate) fn new(
        options: Options,
        commands: mpsc::Receiver<Command>,
        events: mpsc::Sender<SessionEvent>,
    ) -> Self {
        let mut config = options.session;
        config.addresses = options.addresses.len();
        let session = Session::new(config, options.token, crate::seed());
        let addresses = options.addresses;
        Self {
            addresses,
            session,
            commands,
            events,
            socket: None,
            connecting: None,
            local: options.local,
        }
    }

    pub(crate) async fn run(mut self) {
        loop {
            self.session.handle_timeout(now());
            self.perform().await;
            if !self.tell().await {
                return;
            }
            match self.wait().await {
                Happening::Connected(result) => {
                    self.connecting = None;
                    match result {
                        Ok(socket) => {
                            self.socket = Some(socket);
                            self.session.handle_connected(now());
                        }
                        Err(_) => self.session.handle_closed(now(), None),
                    }
                }
                Happening::Message(message) => self.handle_message(message),
                Happening::Command(Some(command)) => self.handle_command(command),
                // Whoever played has gone.
                Happening::Command(None) => {
                    self.session.close();
                    self.perform().await;
                    return;
                }
                Happening::Deadline => {}
            }
        }
    }

    async fn wait(&mut self) -> Happening {
        let pause = self
            .session
            .poll_timeout()
            .map(|deadline| deadline.since(now()));
        tokio::select! {
            result = async { self.connecting.as_mut().expect("checked").await },
                if self.connecting.is_some() => Happening::Connected(result),
            message = async { self.socket.as_mut().expect("checked").next().await },
                if self.socket.is_some() => Happening::Message(message),
            command = self.commands.recv() => Happening::Command(command),
            () = sleep(pause.unwrap_or(Duration::from_secs(3600))) => Happening::Deadline,
        }
    }

    fn handle_message(&mut self, message: Option<Result<Message, Error>>) {
        let now = now();
        match message {
            Some(Ok(Message::Text(text))) => self.session.handle_text(now, text.as_str()),
            Some(Ok(Message::Binary(bytes))) => self.session.handle_binary(now, &bytes),
            Some(Ok(Message::Close(frame))) => {
                self.socket = None;
                self.session
                    .handle_closed(now, frame.map(|frame| frame.code.into()));
            }
            Some(Ok(_)) => {}
            Some(Err(_)) | None => {
                self.socket = None;
                self.session.handle_closed(now, None);
            }
        }
    }

    fn handle_command(&mut self, command: Command) {
        match command {
            Command::Say(message) => {
                self.session.send(&message);
            }
            Command::JoinRoom(ticket) => self.session.join_room(ticket),
            Command::WatchRoom(watch) => self.session.watch_room(watch),
            Command::LeaveRoom => self.session.leave_room(),
            Command::Input(steps) => {
                steps
                    .into_iter()
                    .for_each(|step| self.session.push_input(step));
                self.session.flush_inputs(now());
            }
            Command::LogIn(token) => self.session.log_in(now(), token),
            Command::Cut => {
                self.socket = None;
                self.session.handle_closed(now(), None);
            }
            Command::Close => self.session.close(),
        }
    }

    /// Does what the session asks for; one flush for all of it.
    async fn perform(&mut self) {
        let mut owed = false;
        // Inputs that go out again after a resume.
        self.session.flush_inputs(now());
        while let Some(output) = self.session.poll_output(now()) {
            match output {
                Output::Connect { address } => {
                    self.socket = None;
                    self.connecting = Some(Box::pin(connect(
                        self.addresses[address].clone(),
                        self.local,
                    )));
                }
                Output::Text(text) => owed |= self.feed(Message::text(text)).await,
                Output::Binary(bytes) => owed |= self.feed(Message::binary(bytes)).await,
                Output::Close(code) => self.close(code.code(), code.reason()).await,
                Output::Drop => {
                    self.socket = None;
                    self.connecting = None;
                }
            }
        }
        if owed && let Some(socket) = &mut self.socket {
            // A socket that takes nothing is noticed by silence, not here.
            let _ = timeout(CLOSE_PATIENCE, socket.flush()).await;
        }
    }

    async fn feed(&mut self, message: Message) -> bool {
        let Some(socket) = &mut self.socket else {
            return false;
        };
        let fed = std::future::poll_fn(|cx| Pin::new(&mut *socket).poll_ready(cx));
        let ready = matches!(timeout(CLOSE_PATIENCE, fed).await, Ok(Ok(())));
        ready && Pin::new(socket).start_send(message).is_ok()
    }

    async fn close(&mut self, code: u16, reason: &'static str) {
        if let Some(mut socket) = self.socket.take() {
            let frame = CloseFrame {
                code: code.into(),
                reason: reason.into(),
            };
            let _ = timeout(CLOSE_PATIENCE, async {
                socket.close(Some(frame)).await?;
                while socket.next().await.is_some_and(|message| message.is_ok()) {}
                Ok::<_, Error>(())
            })
            .await;
        }
    }

    /// Tells what there is to know. Gives `false` when the session is over or nobody listens.
    async fn tell(&mut self) -> bool {
        while let Some(event) = self.session.poll_event() {
            let over = matches!(event, SessionEvent::Ended(ended)
                if !matches!(ended, protocol::session::Ended::LoginNeeded(_)));
            let told = match event {
                SessionEvent::Snapshot(_) => match self.events.try_send(event) {
                    Ok(()) => true,
                    Err(TrySendError::Full(_)) => {
                        self.session.forget_snapshots();
                        true
                    }
                    Err(TrySendError::Closed(_)) => false,
                },
                event => self.events.send(event).await.is_ok(),
            };
            if over || !told {
                if !told {
                    self.session.close();
                    self.perform().await;
                }
                return false;
            }
        }
        true
    }
}
