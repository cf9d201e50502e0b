//! Asking for states: what the descriptor declares is checked against what is registered already
//! and against what was restored.

use std::any::type_name;

use crate::backend::{KeyedStateBackend, SlotId, table_name};
use crate::core::Core;
use crate::descriptor::{AggregateFunction, Declaration};
use crate::encoding::take;
use crate::filter::Membership;
use crate::heap_file::Entries;
use crate::list::ListTable;
use crate::map::MapKey;
use crate::map_table::{MapTable, stored_hashes};
use crate::pane_table::PaneTable;
use crate::reducing::{AggregatingTable, ReducingTable};
use crate::snapshot::{StateKind, StateMeta};
use crate::store::HashesFn;
use crate::table::{Base, Table};
use crate::upgrade::Upgrade;
use crate::value_table::ValueTable;
use crate::{
    AggregatingState, AggregatingStateDescriptor, Key, ListState, ListStateDescriptor, MapState, MapStateDescriptor,
    PaneState, ReducingState, ReducingStateDescriptor, Result, StateValue, ValueState, ValueStateDescriptor,
};

impl<K: Key> KeyedStateBackend<K> {
    /// A value a key.
    ///
    /// # Errors
    /// The name is taken by another state, or what was restored does not fit.
    pub fn value_state<V: StateValue>(&mut self, descriptor: ValueStateDescriptor<V>) -> Result<ValueState<V>> {
        let declared = declare::<K, V>(&descriptor.declaration, StateKind::Value, type_name::<V>());
        let make = |base| ValueTable::<K, V, ()>::new(base, ());
        Ok(ValueState::new(self.register(&descriptor.declaration, declared, Some(hashes_of_key::<K>), make)?))
    }

    /// A list a key.
    ///
    /// # Errors
    /// As [`value_state`](Self::value_state).
    pub fn list_state<V: StateValue>(&mut self, descriptor: ListStateDescriptor<V>) -> Result<ListState<V>> {
        let declared = declare::<K, V>(&descriptor.declaration, StateKind::List, type_name::<V>());
        let make = ListTable::<K, V>::new;
        Ok(ListState::new(self.register(&descriptor.declaration, declared, Some(hashes_of_key::<K>), make)?))
    }

    /// A map a key.
    ///
    /// # Errors
    /// As [`value_state`](Self::value_state).
    pub fn map_state<UK: MapKey, UV: StateValue>(
        &mut self,
        descriptor: MapStateDescriptor<UK, UV>,
    ) -> Result<MapState<UK, UV>> {
        let declared = declare::<K, UV>(&descriptor.declaration, StateKind::Map, type_name::<(UK, UV)>());
        let make = MapTable::<K, UK, UV>::new;
        let hashes: HashesFn =
            |hasher, key, add| stored_hashes::<K, UK>(hasher, key).map(|h| h.into_iter().for_each(add)).is_ok();
        Ok(MapState::new(self.register(&descriptor.declaration, declared, Some(hashes), make)?))
    }

    /// A value a key, into which what is added is folded.
    ///
    /// # Errors
    /// As [`value_state`](Self::value_state).
    pub fn reducing_state<V: StateValue>(
        &mut self,
        descriptor: ReducingStateDescriptor<V>,
    ) -> Result<ReducingState<V>> {
        let declared = declare::<K, V>(&descriptor.declaration, StateKind::Reducing, type_name::<V>());
        let reduce = descriptor.reduce;
        let make = |base| ReducingTable::<K, V>::new(base, reduce);
        Ok(ReducingState::new(self.register(&descriptor.declaration, declared, Some(hashes_of_key::<K>), make)?))
    }

    /// An accumulator a key, to which a function adds.
    ///
    /// # Errors
    /// As [`value_state`](Self::value_state).
    pub fn aggregating_state<F: AggregateFunction>(
        &mut self,
        descriptor: AggregatingStateDescriptor<F>,
    ) -> Result<AggregatingState<F>> {
        let declared = declare::<K, F::Acc>(&descriptor.declaration, StateKind::Aggregating, type_name::<F::Acc>());
        let function = descriptor.function;
        let make = |base| AggregatingTable::<K, F>::new(base, function);
        Ok(AggregatingState::new(self.register(&descriptor.declaration, declared, Some(hashes_of_key::<K>), make)?))
    }

    /// Accumulators by window and key.
    ///
    /// # Errors
    /// As [`value_state`](Self::value_state).
    pub fn pane_state<A: StateValue>(&mut self, name: impl Into<String>, version: u32) -> Result<PaneState<A>> {
        let mut declaration = Declaration::<A>::new(name);
        declaration.version = version;
        let declared = declare::<K, A>(&declaration, StateKind::Pane, type_name::<A>());
        let make = PaneTable::<K, A>::new;
        Ok(PaneState::new(self.register(&declaration, declared, None, make)?))
    }

    fn register<V: StateValue, T: Table<K>>(
        &mut self,
        declaration: &Declaration<V>,
        mut declared: StateMeta,
        hashes: Option<HashesFn>,
        make: impl FnOnce(Base) -> T,
    ) -> Result<SlotId> {
        if let Some(slot) = self.registered::<T>(&declared)? {
            return Ok(slot);
        }
        let name = declared.name.clone();
        let stored = table_name(&name);
        let found = self.restored.states.iter().find(|state| state.name == name).cloned();
        let upgrade = match &found {
            Some(found) => {
                declared.panes = found.panes.clone();
                Upgrade::plan(&self.core.uid, found, &declared, declaration, self.core.now())?
            }
            None => None,
        };
        let core = &mut self.core;
        let table = core.store.open_table(&stored)?;
        if let Some(upgrade) = &upgrade
            && !core.store.is_heap()
        {
            rewrite(core, table, upgrade)?;
        }
        core.store.set_garbage(table, &declared, declaration.ttl);
        let membership = match (&found, hashes) {
            (Some(_), Some(hashes)) if !core.store.is_heap() => core.store.membership_of(table, core.hasher, hashes)?,
            _ => Membership::empty(),
        };
        let account = core.open_account();
        let base = Base::new(declared, table, declaration.ttl, account, membership);
        let slot = self.add_slot(name.clone(), make(base));
        self.restored.states.retain(|state| state.name != name);
        if self.core.store.is_heap() {
            self.load_heap(slot, &stored, upgrade.as_ref())?;
        }
        Ok(slot)
    }

    fn load_heap<V: StateValue>(&mut self, slot: SlotId, stored: &str, upgrade: Option<&Upgrade<V>>) -> Result<()> {
        let raw = self.restored.take_raw(stored);
        let (core, table) = self.slot_table(slot);
        let width = core.width;
        for entry in Entries(&raw) {
            let (key, value) = entry.ok_or_else(|| core.damaged::<V>(stored))?;
            let key = key.get(width..).unwrap_or_default();
            match upgrade {
                Some(upgrade) => table.load(core, key, &upgrade.apply(value)?)?,
                None => table.load(core, key, value)?,
            }
        }
        table.loaded();
        Ok(())
    }
}

fn declare<K, V>(declaration: &Declaration<V>, kind: StateKind, value_type: &str) -> StateMeta {
    StateMeta {
        name: declaration.name.clone(),
        kind,
        key_type: type_name::<K>().to_owned(),
        value_type: value_type.to_owned(),
        version: declaration.version,
        ttl: declaration.ttl.is_some(),
        panes: None,
    }
}

/// Rewrites a whole table of the store.
fn rewrite<K: Key, V: StateValue>(
    core: &mut Core<K>,
    table: crate::store::TableId,
    upgrade: &Upgrade<V>,
) -> Result<()> {
    let limit = core.run_limit();
    let mut from: Option<Vec<u8>> = Some(Vec::new());
    while let Some(start) = from.take() {
        let mut run = std::mem::take(&mut core.run);
        run.clear();
        core.store.scan(table, &start, None, |key, value| {
            if run.size() > limit {
                from = Some(key.to_vec());
                return Ok(false);
            }
            run.add(crate::run::Op::Put, key, &upgrade.apply(value)?);
            Ok(true)
        })?;
        core.write_run(table, &mut run)?;
        core.run = run;
    }
    Ok(())
}

/// The hash under which a stored key (without its group) is known.
fn hashes_of_key<K: Key>(hasher: crate::core::Hasher, key: &[u8], add: &mut dyn FnMut(u64)) -> bool {
    take::<K>(key).map(|(key, _)| add(hasher.hash(&key))).is_ok()
}
