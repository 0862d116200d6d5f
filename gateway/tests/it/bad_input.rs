//! What goes wrong at `/v1/ws` and the login: each is answered with a code that a program can act
//! on and a text that says what to do, and costs nobody else anything.

mod attempts;
mod connects;
mod floods;
mod leaving;
mod login;
mod messages;
mod sessions;
mod silence;
mod slow_readers;
mod tokens;
mod upstream;
