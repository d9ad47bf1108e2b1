use core::future::pending;
use core::time::Duration;
use std::collections::HashMap;
use std::io;
use std::sync::{Arc, Mutex, PoisonError};

use pointstream_net::Stream;
use pointstream_time::{Backoff, Instant, Seed};
use tokio::io::{AsyncReadExt, AsyncWriteExt, ReadHalf, WriteHalf, split};
use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::{sleep, sleep_until, timeout};

use crate::io::broker::Broker;
use crate::io::client::{Answers, ClientError, Demand, Link, Publishing};
use crate::io::gather::Gather;
use crate::io::observe::Observed;
use crate::io::takers::{Inbox, TakerId, Takers};
use crate::packet::{QoS, Reason, SubscribeOptions};
use crate::session::{End, Event, Publication, Session, SubscribeError, Ticket};

/// What a client asks of its task.
#[derive(Debug)]
pub(crate) enum Command {
    /// An inbox, and filters by which it may get messages before it subscribes to them.
    Attach(TakerId, Inbox, Vec<Arc<str>>),
    Subscribe(TakerId, Vec<(Arc<str>, SubscribeOptions)>, oneshot::Sender<Answers>),
    #[cfg(feature = "driver")]
    Unsubscribe(TakerId, Vec<Arc<str>>),
    Publish(Publication, Publishing),
}

/// The loop around a session.
pub(crate) struct Task {
    broker: Broker,
    commands: mpsc::Receiver<Command>,
    link: watch::Sender<Link>,
    demand: Arc<Demand>,
    gone: Arc<Mutex<Vec<TakerId>>>,
    session: Session,
    takers: Takers,
    publishing: HashMap<Ticket, Publishing>,
    questions: Vec<Question>,
    origin: tokio::time::Instant,
    backoff: Backoff,
    connections: u64,
    /// When the connection is read from.
    gather: Gather,
    batch: Vec<Command>,
}

/// Somebody waits for the broker's answers.
struct Question {
    open: Vec<Arc<str>>,
    answers: Answers,
    reply: oneshot::Sender<Answers>,
}

/// How much is read at a time.
const INPUT_LEN: usize = 32 * 1024;
/// How long the last words of a connection may take.
const FLUSH_TIME: Duration = Duration::from_secs(1);
/// The first step of the intervals between attempts.
const RETRY_MIN: Duration = Duration::from_millis(500);
/// How many commands are taken at a time.
const BATCH: usize = 64;

impl Task {
    pub(crate) fn new(
        broker: Broker,
        commands: mpsc::Receiver<Command>,
        link: watch::Sender<Link>,
        demand: Arc<Demand>,
        gone: Arc<Mutex<Vec<TakerId>>>,
    ) -> Self {
        // The jitter differs where the names do, which is where it matters.
        let seed =
            broker.session.client_id.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
                (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
            });
        Self {
            session: Session::new(broker.session.clone()),
            backoff: Backoff::new(
                RETRY_MIN.min(broker.retry_max),
                broker.retry_max,
                Seed::new(seed),
            ),
            broker,
            commands,
            link,
            demand,
            gone,
            takers: Takers::default(),
            publishing: HashMap::new(),
            questions: Vec::new(),
            origin: tokio::time::Instant::now(),
            connections: 0,
            gather: Gather::default(),
            batch: Vec::with_capacity(BATCH),
        }
    }

    pub(crate) async fn run(mut self) {
        loop {
            self.idle().await;
            self.link.send_replace(Link::Connecting);
            let dialled = {
                let broker = self.broker.clone();
                let mut dialling = core::pin::pin!(broker.dial());
                loop {
                    tokio::select! {
                        stream = &mut dialling => break Some(stream),
                        () = self.serve() => {
                            if !self.demand.is_any() {
                                break None;
                            }
                        }
                    }
                }
            };
            let error = match dialled {
                None => continue,
                Some(Err(error)) => ClientError::Dial(error),
                Some(Ok(stream)) => match self.connection(stream).await {
                    (End::Left, _) => continue,
                    (End::ConnectionLost, Some(error)) => ClientError::Lost(error),
                    (end, _) => ClientError::End(end),
                },
            };
            self.down(error).await;
        }
    }

    /// Waits until somebody wants a connection.
    async fn idle(&mut self) {
        while !self.demand.is_any() {
            self.link.send_if_modified(|link| {
                let changed = *link != Link::Idle;
                *link = Link::Idle;
                changed
            });
            self.serve().await;
        }
    }

    /// There is no connection: says so, and waits for the next attempt.
    async fn down(&mut self, error: ClientError) {
        // What was to be published at once is not worth anything later.
        let mut failed = Vec::new();
        for (&ticket, publishing) in &self.publishing {
            if publishing.only_now && self.session.cancel(ticket) {
                failed.push(ticket);
            }
        }
        let error = Arc::new(error);
        for ticket in failed {
            self.published(ticket, Err(ClientError::End(End::ConnectionLost)));
        }
        self.fail_questions();
        self.link.send_replace(Link::Down(error));
        let delay = self.backoff.on_failure();
        let wait = sleep(delay);
        let mut wait = core::pin::pin!(wait);
        let mut kicked = false;
        while self.demand.is_any() && !kicked {
            tokio::select! {
                () = &mut wait => return,
                kick = self.serve_or_kick() => kicked = kick,
            }
        }
    }

    /// Does what is asked while there is no connection.
    async fn serve(&mut self) {
        self.serve_or_kick().await;
    }

    /// Gives whether somebody asks for an attempt.
    async fn serve_or_kick(&mut self) -> bool {
        let demand = Arc::clone(&self.demand);
        tokio::select! {
            count = self.commands.recv_many(&mut self.batch, BATCH) => {
                if count == 0 {
                    // The client is gone; its task is about to be.
                    pending::<()>().await;
                }
                self.on_commands();
                false
            }
            () = demand.changed.notified() => {
                self.on_gone();
                true
            }
        }
    }

    fn now(&self) -> Instant {
        Instant::from_origin(self.origin.elapsed())
    }

    /// A connection from its start to its end, with what the stream says of it if it has failed.
    async fn connection(&mut self, stream: Stream) -> (End, Option<io::Error>) {
        let (mut reading, mut writing) = split(stream);
        let mut input = Vec::with_capacity(INPUT_LEN);
        self.gather = Gather::default();
        let mut output = Vec::new();
        let mut written = 0;
        self.session.connect(self.now());
        let (mut end, mut failure) = (None, None);
        loop {
            while !self.takers.is_blocked()
                && let Some(event) = self.session.poll_event()
            {
                if let Some(found) = self.on_event(event) {
                    end.get_or_insert(found);
                }
            }
            if written == output.len() {
                output.clear();
                output.shrink_to(Session::TRANSMIT_LEN * 2);
                written = 0;
                let now = self.now();
                self.session.poll_transmit(now, &mut output);
            }
            if self.session.is_closed() {
                let rest = output.get(written..).unwrap_or_default();
                return (self.farewell(&mut writing, rest, end).await, failure);
            }
            // Where a user left, the rest is written and nothing more is read.
            let step = self.step(&mut reading, &mut writing, &mut input, &output, written).await;
            match step {
                Ok(len) => written += len,
                Err(error) => {
                    failure = error;
                    self.session.connection_lost();
                }
            }
        }
    }

    /// Says the last words. A peer that does not take them has gone, and that is what it is told.
    async fn farewell(
        &mut self,
        writing: &mut WriteHalf<Stream>,
        rest: &[u8],
        end: Option<End>,
    ) -> End {
        let flush = async {
            writing.write_all(rest).await?;
            writing.shutdown().await
        };
        let _ = timeout(FLUSH_TIME, flush).await;
        let mut end = end;
        while !self.takers.is_blocked()
            && let Some(event) = self.session.poll_event()
        {
            if let Some(found) = self.on_event(event) {
                end.get_or_insert(found);
            }
        }
        end.unwrap_or(End::ConnectionLost)
    }

    /// Waits for one thing. Gives how much was written; where the stream has ended, why, if it says.
    async fn step(
        &mut self,
        reading: &mut ReadHalf<Stream>,
        writing: &mut WriteHalf<Stream>,
        input: &mut Vec<u8>,
        output: &[u8],
        written: usize,
    ) -> Result<usize, Option<io::Error>> {
        let due = self.session.poll_timeout().into_iter().chain(self.gather.until()).min();
        let due = due.and_then(|due| self.origin.checked_add(due.since_origin()));
        let rest = output.get(written..).unwrap_or_default();
        let blocked = self.takers.is_blocked();
        let demand = Arc::clone(&self.demand);
        input.clear();
        tokio::select! {
            len = writing.write(rest), if !rest.is_empty() => match len {
                Ok(0) => return Err(None),
                Ok(len) => return Ok(len),
                Err(error) => return Err(Some(error)),
            },
            read = reading.read_buf(input), if !blocked && self.reads() => match read {
                Ok(0) => return Err(None),
                Err(error) => return Err(Some(error)),
                Ok(_) => {
                    let (now, before) = (self.now(), self.session.received());
                    self.session.handle_input(now, input);
                    self.gather.on_read(now, self.session.received() - before);
                }
            },
            () = self.takers.unblock(), if blocked => {}
            count = self.commands.recv_many(&mut self.batch, BATCH) => {
                if count == 0 {
                    pending::<()>().await;
                }
                self.on_commands();
            }
            () = demand.changed.notified() => {
                self.on_gone();
                if !demand.is_any() && self.session.pending() == 0 {
                    self.session.disconnect();
                }
            }
            () = async {
                match due {
                    Some(due) => sleep_until(due).await,
                    None => pending().await,
                }
            } => {
                let now = self.now();
                self.gather.on_time(now);
                if blocked {
                    // What was not read has not been missed.
                    self.session.input_paused(now);
                }
                self.session.handle_timeout(now);
            }
        }
        Ok(0)
    }

    /// Whether the connection is read from.
    fn reads(&self) -> bool {
        self.gather.until().is_none() && self.session.wants_input()
    }

    fn on_commands(&mut self) {
        let mut batch = core::mem::take(&mut self.batch);
        for command in batch.drain(..) {
            match command {
                Command::Attach(id, inbox, filters) => self.takers.attach(id, inbox, &filters),
                Command::Subscribe(id, filters, reply) => self.on_subscribe(id, filters, reply),
                #[cfg(feature = "driver")]
                Command::Unsubscribe(id, filters) => {
                    for filter in filters {
                        let change = self.takers.leave(id, &filter);
                        self.on_change(change);
                    }
                }
                Command::Publish(message, publishing) => match self.session.publish(message) {
                    Ok(ticket) => drop(self.publishing.insert(ticket, publishing)),
                    Err(error) => drop(publishing.reply.send(Err(error.into()))),
                },
            }
        }
        self.batch = batch;
    }

    fn on_gone(&mut self) {
        let gone = core::mem::take(&mut *self.gone.lock().unwrap_or_else(PoisonError::into_inner));
        for id in gone {
            for change in self.takers.detach(id) {
                self.on_change(Some(change));
            }
        }
    }

    fn on_change(&mut self, change: Option<(Arc<str>, Option<SubscribeOptions>)>) {
        let Some((filter, options)) = change else { return };
        match options {
            // There was room for it before, and it was a filter.
            Some(options) => drop(self.session.subscribe(&filter, options)),
            None => drop(self.session.unsubscribe(&filter)),
        }
    }

    /// A new taker has the broker send what is retained, so that each filter is asked for even where
    /// others have it.
    fn on_subscribe(
        &mut self,
        id: TakerId,
        filters: Vec<(Arc<str>, SubscribeOptions)>,
        reply: oneshot::Sender<Answers>,
    ) {
        let mut question = Question { open: Vec::new(), answers: Vec::new(), reply };
        for (filter, options) in filters {
            let options = self.takers.join(id, &filter, options);
            match self.session.subscribe(&filter, options) {
                Ok(()) => question.open.push(filter),
                Err(error) => {
                    self.takers.leave(id, &filter);
                    let reason = match error {
                        SubscribeError::Full => Reason::new(0x97),
                        SubscribeError::Filter(_) => Reason::new(0x8f),
                    };
                    question.answers.push((filter, Err(reason)));
                }
            }
        }
        self.questions.push(question);
        self.answer(None);
    }

    /// Answers questions that have no open filter left, and forgets those that nobody waits for.
    fn answer(&mut self, news: Option<(&Arc<str>, Result<QoS, Reason>)>) {
        let mut open = Vec::with_capacity(self.questions.len());
        for mut question in core::mem::take(&mut self.questions) {
            if let Some((filter, result)) = news
                && let Some(at) = question.open.iter().position(|it| it == filter)
            {
                let filter = question.open.swap_remove(at);
                question.answers.push((filter, result));
            }
            if question.open.is_empty() {
                let _ = question.reply.send(question.answers);
            } else if !question.reply.is_closed() {
                open.push(question);
            }
        }
        self.questions = open;
    }

    fn fail_questions(&mut self) {
        // Subscriptions stand; who waits asks again when there is a connection.
        self.questions.retain(|question| !question.reply.is_closed());
    }

    /// Gives the end of the connection, if this was it.
    fn on_event(&mut self, event: Event) -> Option<End> {
        match event {
            Event::Connected(connected) => {
                self.connections += 1;
                self.backoff.on_success();
                self.link.send_replace(Link::Up(self.connections, Arc::new(connected)));
            }
            Event::Lost(end) => return Some(end),
            Event::Message(message) => {
                let message = Arc::new(message);
                let item = Observed::Message(Arc::clone(&message));
                self.takers.deliver(&message.topic, &item);
            }
            Event::Oversize { topic, len } => {
                let item = Observed::Oversize { topic: Arc::clone(&topic), len };
                self.takers.deliver(&topic, &item);
            }
            Event::Published { ticket, result } => {
                self.published(ticket, result.map_err(ClientError::Fault));
            }
            Event::Subscribed { filter, result } => {
                if let Err(reason) = result {
                    self.takers.refuse(&filter, reason);
                }
                self.answer(Some((&filter, result)));
            }
            Event::Unsubscribed { .. } => {}
        }
        None
    }

    fn published(&mut self, ticket: Ticket, result: Result<(), ClientError>) {
        if let Some(publishing) = self.publishing.remove(&ticket) {
            // Whoever published may not care.
            let _ = publishing.reply.send(result);
        }
    }
}
