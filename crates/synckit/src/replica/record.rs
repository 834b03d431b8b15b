//! Writing to the store.

use synckit_core::{Error, EventId, EventStore, Limits, NewEvent, Result};
use synckit_plan::{Expect, Record, Recorded, StoreExt};

use crate::replica::Replica;

impl<S: EventStore> Replica<S> {
    /// Records new events, all or none; no network is needed. When this returns, they are durable.
    ///
    /// An event whose id is already held with the same content is a repetition and changes nothing.
    ///
    /// # Errors
    /// `Invalid`, `TooLarge` or `Conflict`, with the event; `TooLarge` for more events than the
    /// [`Limits`](crate::Limits) of a batch allow; and those of the store. Nothing was recorded then.
    pub async fn record(&self, events: impl IntoIterator<Item = NewEvent> + Send) -> Result<Recorded> {
        self.record_if(events, Vec::new()).await
    }

    /// Records new events, all or none, if these conditions hold when they are written: that an aggregate is not in
    /// conflict, or that it has not changed since the caller read it.
    ///
    /// ```no_run
    /// # use synckit::*;
    /// # async fn f<S: EventStore>(replica: Replica<S>, change: NewEvent) -> Result<()> {
    /// let note = AggregateId::new("note-1")?;
    /// let seen = replica.heads(&note).await?;
    /// match replica.record_if([change], vec![Expect::Heads(note, seen)]).await {
    ///     Err(error) if error.kind() == ErrorKind::Conflict => println!("somebody was faster: {error}"),
    ///     recorded => drop(recorded?),
    /// }
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// Same as [`Replica::record`]; `Conflict`, with the aggregate and its heads, when a condition does not hold.
    pub async fn record_if(
        &self,
        events: impl IntoIterator<Item = NewEvent> + Send,
        expect: Vec<Expect>,
    ) -> Result<Recorded> {
        let environment = &*self.settings().environment;
        let events = within(self.settings().limits, events)?;
        let now = environment.now();
        let mut named = Vec::with_capacity(events.len());
        for event in events {
            let event = self.settings().upcasters.label(event)?;
            let id = match &event.id {
                Some(id) => id.clone(),
                None => {
                    let mut random = [0; 10];
                    environment.fill_random(&mut random)?;
                    EventId::uuid_v7(now, &random)
                }
            };
            named.push((id, event));
        }
        // The commit corrects a name that is out of date.
        let author = match self.inner.author.get() {
            Some(author) => author,
            None => self.store().identity().await?.author,
        };
        let (limits, entropy) = (self.settings().limits, self.entropy()?);
        let record = Record { author, events: named, now, limits, entropy, expect };
        let recorded = self.store().commit(record).await?;
        if let Some(dot) = recorded.events.last().and_then(|event| event.dot.as_ref()) {
            self.inner.author.set(dot.node.clone());
        }
        Ok(recorded)
    }
}

/// Collects events to record, at most as many as a batch has. One event always fits.
fn within(limits: Limits, events: impl IntoIterator<Item = NewEvent>) -> Result<Vec<NewEvent>> {
    let too_large = |what: String| {
        Err(Error::too_large(format!("{what} are recorded at once; record the events in several batches"))
            .at("engine", "record"))
    };
    let (mut batch, mut bytes) = (Vec::new(), 0);
    for event in events {
        if batch.len() == limits.batch_events.max(1) {
            return too_large(format!("at most {} events", limits.batch_events.max(1)));
        }
        bytes += size(&event);
        if bytes > limits.batch_bytes && !batch.is_empty() {
            return too_large(format!("at most {} bytes", limits.batch_bytes));
        }
        batch.push(event);
    }
    Ok(batch)
}

/// Returns the size of an event as [`Event::size`](synckit_core::Event::size) counts it, without id and clock.
fn size(event: &NewEvent) -> usize {
    let names = event.event_type.as_bytes().len() + event.aggregate_id.as_bytes().len();
    names + event.data.as_bytes().len() + event.metadata.as_json().len()
}
