//! The wire: connections whose messages wait until a step delivers, loses, repeats or swaps them.
//!
//! Each hop of the real wire keeps order and loses messages only with the connection. This one is
//! worse for frames: they are lost, repeated and reordered one by one, as a gateway would that
//! sheds load. A control message stays where it is in the row, for none is ever shed.

use std::collections::VecDeque;

use protocol::time::Timestamp;

/// What travels on a wire.
pub(super) trait Message: Clone {
    /// Whether it may be lost, repeated and reordered alone.
    fn is_frame(&self) -> bool;

    /// The end of the connection, as its other end learns of it.
    fn closed() -> Self;
}

/// One connection. `near` is the end that opened it.
#[derive(Debug)]
pub(super) struct Wire<U, D> {
    pub(super) up: VecDeque<U>,
    pub(super) down: VecDeque<D>,
    pub(super) near_open: bool,
    pub(super) far_open: bool,
    /// From then on everything vanishes, and neither end is told.
    pub(super) hole_since: Option<Timestamp>,
}

impl<U: Message, D: Message> Wire<U, D> {
    pub(super) fn new() -> Self {
        Self {
            up: VecDeque::new(),
            down: VecDeque::new(),
            near_open: true,
            far_open: true,
            hole_since: None,
        }
    }

    pub(super) fn send_up(&mut self, message: U) {
        if self.near_open && self.far_open && self.hole_since.is_none() {
            self.up.push_back(message);
        }
    }

    pub(super) fn send_down(&mut self, message: D) {
        if self.near_open && self.far_open && self.hole_since.is_none() {
            self.down.push_back(message);
        }
    }

    /// The near end hangs up: what it sent before still arrives.
    pub(super) fn close_near(&mut self) {
        self.send_up(U::closed());
        self.near_open = false;
        self.down.clear();
    }

    /// The far end hangs up.
    pub(super) fn close_far(&mut self) {
        self.send_down(D::closed());
        self.far_open = false;
        self.up.clear();
    }

    /// The connection breaks: what travels down is lost, what travels up may still arrive.
    pub(super) fn cut(&mut self) {
        self.down.clear();
        self.send_down(D::closed());
        self.send_up(U::closed());
        self.hole_since.get_or_insert(Timestamp(0));
    }

    pub(super) fn hole(&mut self, now: Timestamp) {
        self.up.clear();
        self.down.clear();
        self.hole_since.get_or_insert(now);
    }

    pub(super) fn is_over(&self) -> bool {
        !self.near_open && !self.far_open
    }
}

/// What a fault does to frames that travel.
#[derive(Debug, Clone, Copy)]
pub(super) enum Mischief {
    Lose,
    Repeat,
    Swap,
}

pub(super) fn disturb<M: Message>(pipe: &mut VecDeque<M>, index: usize, mischief: Mischief) {
    if pipe.is_empty() {
        return;
    }
    let index = index % pipe.len();
    if !pipe[index].is_frame() {
        return;
    }
    match mischief {
        Mischief::Lose => drop(pipe.remove(index)),
        Mischief::Repeat => pipe.insert(index, pipe[index].clone()),
        Mischief::Swap => {
            if pipe.get(index + 1).is_some_and(Message::is_frame) {
                pipe.swap(index, index + 1);
            }
        }
    }
}
