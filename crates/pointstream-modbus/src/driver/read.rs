//! Reading: blocks, their division, and several requests in flight.

use pointstream_conn::{OpError, Readings, Request as Fetch};
use pointstream_point::{Fault, Value};

use crate::address::Address;
use crate::block::Span;
use crate::data::{DataType, Scalar};
use crate::driver::bus::Purpose;
use crate::driver::failure::Failure;
use crate::driver::wire::Dial;
use crate::driver::{Modbus, permanent, read_of};
use crate::error::{AnswerError, Exception};
use crate::pdu::{Request, Response};
use crate::points::Item;
use crate::session::Answer;

/// How many refused requests one read divides and tries again; the rest is left to the next poll,
/// so that a device which refuses everything does not hold up writes.
const DIVISIONS_MAX: usize = 16;

impl<D: Dial> Modbus<D> {
    pub(super) async fn read_request(
        &mut self,
        fetch: &Fetch,
        into: &mut Readings,
    ) -> Result<(), OpError> {
        let mut items = core::mem::take(&mut self.items);
        self.points.items(&fetch.points, &mut items);
        let alone = items.iter().all(|item| Some(item.span) == items.first().map(|i| i.span));
        if self.points.learned().has_holes() {
            self.skip_holes(&mut items, into);
        }
        let mut parts: Vec<usize> = self.points.parts(&items).collect();
        parts.reverse();
        let mut rest = items.as_slice();
        let mut divisions = 0;
        let mut result = Ok(());
        while let Some(count) = parts.pop() {
            let (part, later) = rest.split_at(count.min(rest.len()));
            match self.read_part(part, into).await {
                Ok(()) => {}
                Err(Failure::Exception(exception)) if exception.is_of_range() => {
                    let may = divisions < DIVISIONS_MAX;
                    if let Some(at) = may.then(|| self.points.learned().divide(part)).flatten() {
                        divisions += 1;
                        parts.extend([part.len() - at, at]);
                        continue;
                    }
                    self.refuse(part, exception, alone, into);
                }
                Err(failure) if failure.ends_session() => {
                    result = Err(self.session_over(&failure));
                    break;
                }
                Err(failure) => give_fault(part, &failure, into),
            }
            rest = later;
        }
        self.items = items;
        result
    }

    /// Answers for the values that the device is known to refuse, without asking it, except for
    /// one value whose turn it is to be tried again.
    fn skip_holes(&mut self, items: &mut Vec<Item>, into: &mut Readings) {
        let learned = self.points.learned();
        let mut holes: Vec<Span> = items
            .iter()
            .map(|item| item.span)
            .filter(|&span| learned.hole(span).is_some())
            .collect();
        holes.dedup();
        if holes.is_empty() {
            return;
        }
        let turn = learned.turn() % holes.len();
        let retried = holes.get(turn).copied();
        items.retain(|item| match learned.hole(item.span) {
            Some(exception) if Some(item.span) != retried => {
                into.err(item.key, Failure::Exception(exception).of_block(item.span));
                false
            }
            _ => true,
        });
    }

    /// A part that cannot or shall not be divided was refused.
    fn refuse(&mut self, part: &[Item], exception: Exception, alone: bool, into: &mut Readings) {
        give_fault(part, &Failure::Exception(exception), into);
        let Some(first) = part.first() else { return };
        if !alone && part.iter().all(|item| item.span == first.span) {
            self.points.learned().add_hole(first.span, exception);
        }
    }

    async fn read_part(&mut self, part: &[Item], into: &mut Readings) -> Result<(), Failure> {
        let Some(block) = hull(part) else { return Ok(()) };
        let answer = self.transact(Purpose::Read, &read_of(block)).await?;
        self.take_part(part, block, &answer, into)
    }

    fn take_part(
        &mut self,
        part: &[Item],
        block: Span,
        answer: &Answer,
        into: &mut Readings,
    ) -> Result<(), Failure> {
        let response = answer.response().map_err(AnswerError::Pdu)?;
        if self.points.learned().has_holes() {
            for item in part {
                self.points.learned().remove_hole(item.span);
            }
        }
        for &Item { span, key } in part {
            let Some(address) = self.points.cur(key) else { continue };
            match take_value(address, &response, span.start - block.start) {
                Ok(value) => into.ok(key, value),
                Err(fault) => into.err(key, fault),
            }
        }
        Ok(())
    }

    /// Reads requests with as many in flight as the configuration allows. What the device refuses
    /// or what was divided before is then read by itself.
    pub(super) async fn read_window(
        &mut self,
        fetches: &[Fetch],
        into: &mut Readings,
    ) -> Result<(), OpError> {
        let mut alone = Vec::new();
        let mut blocks: Vec<(usize, Span)> = Vec::with_capacity(fetches.len());
        let mut items = core::mem::take(&mut self.items);
        for (index, fetch) in fetches.iter().enumerate() {
            self.points.items(&fetch.points, &mut items);
            match hull(&items) {
                Some(block) if self.points.parts(&items).count() == 1 => {
                    blocks.push((index, block))
                }
                Some(_) => alone.push(index),
                None => {}
            }
        }
        let requests: Vec<Request<'_>> = blocks.iter().map(|&(_, span)| read_of(span)).collect();
        let mut outcomes: Vec<(usize, Result<Answer, Failure>)> = Vec::with_capacity(blocks.len());
        let result = self.exchange_all(&requests, &mut outcomes).await;
        let mut over = result.err();
        for (at, outcome) in outcomes {
            let Some(&(index, block)) = blocks.get(at) else { continue };
            let Some(fetch) = fetches.get(index) else { continue };
            self.points.items(&fetch.points, &mut items);
            let outcome = self.judge(outcome);
            match outcome.and_then(|answer| self.take_part(&items, block, &answer, into)) {
                Ok(()) => {}
                Err(Failure::Exception(exception)) if exception.is_of_range() => alone.push(index),
                Err(failure) if failure.ends_session() => over = over.or(Some(failure)),
                Err(failure) => give_fault(&items, &failure, into),
            }
        }
        self.items = items;
        if let Some(failure) = over {
            return Err(self.session_over(&failure));
        }
        for index in alone {
            if let Some(fetch) = fetches.get(index) {
                self.read_request(fetch, into).await?;
            }
        }
        Ok(())
    }

    /// Transactions of one turn, in flight together.
    async fn exchange_all(
        &self,
        requests: &[Request<'_>],
        outcomes: &mut Vec<(usize, Result<Answer, Failure>)>,
    ) -> Result<(), Failure> {
        if !self.open {
            return Err(std::io::Error::from(std::io::ErrorKind::NotConnected).into());
        }
        let mut turn = self.bus.turn(Purpose::Read).await;
        let (limit, window) = (self.config.connect_timeout, self.window());
        let served = turn.link.as_ref().is_some_and(|link| link.served);
        let link = turn.link(limit, window, &self.config.target).await?;
        let told = |index, outcome| outcomes.push((index, outcome));
        let mut result = link.exchange_all(&self.manner, requests, told).await;
        turn.on_end(result.as_ref().err());
        // As with a single request: the device closed it since its last answer.
        let closed = matches!(&result, Err(Failure::Io(error)) if super::is_close(error));
        if served && closed && outcomes.is_empty() {
            let link = turn.link(limit, window, &self.config.target).await?;
            let told = |index, outcome| outcomes.push((index, outcome));
            result = link.exchange_all(&self.manner, requests, told).await;
            turn.on_end(result.as_ref().err());
        }
        result
    }
}

/// The span that holds all of `items`, which are of one table and in order.
fn hull(items: &[Item]) -> Option<Span> {
    let first = items.first()?.span;
    let end = items.iter().map(|item| item.span.end()).max()?;
    let count = u16::try_from(end - u32::from(first.start)).ok()?;
    Some(Span { count, ..first })
}

fn give_fault(items: &[Item], failure: &Failure, into: &mut Readings) {
    let Some(block) = hull(items) else { return };
    let fault = failure.of_block(block);
    for item in items {
        into.err(item.key, fault.clone());
    }
}

/// The value of `address`, which begins `offset` registers or bits into the answer.
fn take_value(address: &Address, response: &Response<'_>, offset: u16) -> Result<Value, Fault> {
    let missing = || Fault::permanent("the answer has no such value");
    let raw = match response {
        Response::Bits { bits, .. } => Scalar::Bool(bits.get(offset).ok_or_else(missing)?),
        Response::Words { words, .. } => {
            let mut buffer = [0; TEXT_REGISTERS_MAX];
            let buffer = buffer.get_mut(..usize::from(address.count())).ok_or_else(missing)?;
            for (index, place) in buffer.iter_mut().enumerate() {
                *place = words.get(usize::from(offset) + index).ok_or_else(missing)?;
            }
            if address.is_text() {
                return address.data.decode_text(buffer).map(Value::str).map_err(permanent);
            }
            address.data.decode(buffer).map_err(permanent)?
        }
        _ => return Err(missing()),
    };
    Ok(match address.scaled(raw) {
        Scalar::Bool(bit) => Value::Bool(bit),
        number => Value::number(number.to_f64()),
    })
}

/// What the longest text takes.
const TEXT_REGISTERS_MAX: usize = DataType::STR_LEN_MAX as usize / 2;
