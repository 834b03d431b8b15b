//! Resolvers: a name, or a table with settings.

use synckit::{
    FieldMerge, LastWriteWins,
    conflict::{Clash, FieldPath, SharedResolver},
};

use crate::reader::{Reading, find};
use crate::tree::{Node, Value};

impl Reading<'_> {
    pub(super) fn resolver(&mut self, node: &Node) -> SharedResolver {
        let read = match &node.value {
            Value::Text(name) => self.named(node, name),
            Value::Table(_) => self.configured(node),
            other => {
                self.wrong(node.at, format!("a resolver is a name or a table, not {}", other.kind()));
                None
            }
        };
        read.unwrap_or_else(|| SharedResolver::new(LastWriteWins))
    }

    fn named(&mut self, node: &Node, name: &str) -> Option<SharedResolver> {
        let found = self.resolvers.get(name).cloned();
        if found.is_none() {
            let known: Vec<&str> = self.resolvers.keys().map(String::as_str).collect();
            self.wrong(node.at, format!("no resolver is called `{name}`; there are {}", known.join(", ")));
        }
        found
    }

    fn configured(&mut self, node: &Node) -> Option<SharedResolver> {
        let entries = self.table(node, "a resolver", &["use", "clash", "fields", "otherwise"])?;
        let Some((_, named)) = find(&entries, "use") else {
            self.wrong(node.at, "`use` is missing: the name of the resolver");
            return None;
        };
        let name = self.text(named, "`use`")?;
        let resolver = self.named(named, &name)?;
        if name != "field-merge" {
            for (key, _) in entries.iter().filter(|(key, _)| key.name != "use") {
                self.wrong(key.at, format!("`{}` is a setting of field-merge, not of {name}", key.name));
            }
            return Some(resolver);
        }
        let mut merge = FieldMerge::new();
        if let Some((_, node)) = find(&entries, "clash") {
            merge = merge.with_clash(self.clash(node)?);
        }
        if let Some((_, node)) = find(&entries, "otherwise") {
            merge = merge.with_otherwise(self.resolver(node));
        }
        if let Some((_, node)) = find(&entries, "fields") {
            for (key, value) in self.table(node, "`fields`", &[])? {
                let clash = self.clash(value);
                match (key.name.parse::<FieldPath>(), clash) {
                    (Ok(path), Some(clash)) => merge = merge.with_field(path, clash),
                    (Err(error), _) => self.wrong(key.at, error.message()),
                    (_, None) => {}
                }
            }
        }
        Some(SharedResolver::new(merge))
    }

    fn clash(&mut self, node: &Node) -> Option<Clash> {
        let name = self.text(node, "a clash")?;
        let found = Clash::ALL.into_iter().find(|clash| clash.name() == name);
        if found.is_none() {
            let names: Vec<&str> = Clash::ALL.iter().map(|clash| clash.name()).collect();
            self.wrong(node.at, format!("`{name}` is no clash; there are {}", names.join(", ")));
        }
        found
    }
}
