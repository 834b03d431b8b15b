//! What the settings of all stores in files have in common.

/// Writes `new`, which takes the path, and the setters of the node, the machine and whether a store may be made, for the
/// settings of a store in a file. They have these fields, and a default.
///
/// ```
/// use std::path::PathBuf;
///
/// use synckit_core::NodeId;
///
/// #[derive(Default)]
/// pub struct DeskConfig {
///     pub path: PathBuf,
///     pub node: Option<NodeId>,
///     pub create: bool,
///     pub machine: Option<String>,
///     pub drawers: usize,
/// }
///
/// synckit_store::file_config!(DeskConfig);
///
/// let config = DeskConfig::new("log.desk").with_create(true).with_machine("front desk");
/// assert!(config.create && config.drawers == 0);
/// ```
#[macro_export]
macro_rules! file_config {
    ($name:ident) => {
        impl $name {
            /// Creates the settings of the store in this file, with the defaults.
            pub fn new(path: impl Into<std::path::PathBuf>) -> Self {
                $name { path: path.into(), ..$name::default() }
            }

            /// Sets the node that writes through the store.
            pub fn with_node(mut self, node: $crate::__NodeId) -> Self {
                self.node = Some(node);
                self
            }

            /// Sets the id of the machine that the file is on.
            pub fn with_machine(mut self, machine: impl Into<String>) -> Self {
                self.machine = Some(machine.into());
                self
            }

            /// Sets whether a store is made where there is none.
            pub fn with_create(mut self, create: bool) -> Self {
                self.create = create;
                self
            }
        }
    };
}
