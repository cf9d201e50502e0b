//! Ports that stay free for a server that is started again.

use std::{
    net::{Ipv4Addr, TcpListener},
    sync::atomic::{AtomicU32, Ordering::Relaxed},
};

use anyhow::{Result, bail};

use crate::mix::mix;

/// Below what systems give to connections of clients (from 32768): between a kill and a restart no
/// client can come to sit on a server's port.
const FIRST: u32 = 20_000;
const COUNT: u32 = 12_000;

/// A port of 127.0.0.1 that nobody listens on. No two calls of a process get the same, and two
/// processes begin in different places.
pub fn free_port() -> Result<u16> {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let start = (mix(u64::from(std::process::id())) % u64::from(COUNT)) as u32;
    for _ in 0..COUNT {
        let port = (FIRST + (start + NEXT.fetch_add(1, Relaxed)) % COUNT) as u16;
        if TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok() {
            return Ok(port);
        }
    }
    bail!("no port of 127.0.0.1 is free from {FIRST} to {}", FIRST + COUNT - 1)
}
