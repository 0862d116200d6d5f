//! The pool over a real Postgres and a real pgbouncer.

#[path = "postgres/load.rs"]
mod load;
#[path = "postgres/login.rs"]
mod login;
#[path = "postgres/rig.rs"]
mod rig;
#[path = "postgres/size.rs"]
mod size;
#[path = "postgres/statements.rs"]
mod statements;
#[path = "postgres/trouble.rs"]
mod trouble;
