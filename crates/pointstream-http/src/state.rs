use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use http::Extensions;
use pointstream_hub::Hub;
use pointstream_time::Seed;
use tokio::time::Instant;

use crate::cors::Origins;
use crate::direct::Choruses;
use crate::hosts::Hosts;
use crate::metrics::Counters;
use crate::mount::After;
use crate::routes::group::Groups;
use crate::syncs::Syncs;
use crate::{Admin, Options};

/// What all requests share.
pub(crate) struct App {
    pub(crate) hub: Hub,
    pub(crate) admin: Arc<dyn Admin>,
    pub(crate) options: Options,
    pub(crate) hosts: Hosts,
    pub(crate) origins: Origins,
    pub(crate) counters: Counters,
    pub(crate) groups: Groups,
    pub(crate) choruses: Arc<Choruses>,
    pub(crate) syncs: Syncs,
    /// The origin of the grid that heartbeats are aligned to.
    pub(crate) started: Instant,
    ending: AtomicBool,
    seed: Mutex<Seed>,
}

impl App {
    pub(crate) fn new(hub: Hub, admin: Arc<dyn Admin>, options: Options) -> Self {
        Self {
            hub,
            admin,
            hosts: Hosts::new(&options.allowed_hosts),
            origins: Origins::new(&options.allowed_origins),
            counters: Counters::default(),
            groups: Groups::default(),
            choruses: Arc::default(),
            syncs: Syncs::default(),
            started: Instant::now(),
            ending: AtomicBool::new(false),
            seed: Mutex::new(options.seed.clone()),
            options,
        }
    }

    /// Notes that the server ends; the connections are woken otherwise.
    pub(crate) fn end(&self) {
        self.ending.store(true, Ordering::Release);
        self.syncs.cancel();
    }

    pub(crate) fn is_ending(&self) -> bool {
        self.ending.load(Ordering::Acquire)
    }

    /// Numbers of its own for one stream.
    pub(crate) fn split_seed(&self) -> Seed {
        self.seed.lock().unwrap_or_else(PoisonError::into_inner).split()
    }

    /// The address at which a request reached this server.
    pub(crate) fn local_addr(&self, extensions: &Extensions) -> SocketAddr {
        let connection = extensions.get::<Arc<Connection>>();
        connection.map_or(self.options.listen, |connection| connection.local)
    }
}

/// What the requests of one connection share; absent where another server mounts the routes.
#[derive(Debug)]
pub(crate) struct Connection {
    pub(crate) local: SocketAddr,
    /// What it becomes behind its last answer, where that hands it over.
    pub(crate) after: After,
    closing: AtomicBool,
}

impl Connection {
    pub(crate) fn new(local: SocketAddr) -> Self {
        Self { local, after: After::default(), closing: AtomicBool::new(false) }
    }

    /// Asks the streams of this connection to end when they are polled next.
    pub(crate) fn close(&self) {
        self.closing.store(true, Ordering::Relaxed);
    }

    pub(crate) fn is_closing(&self) -> bool {
        self.closing.load(Ordering::Relaxed)
    }
}
