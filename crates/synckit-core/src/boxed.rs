//! The boxed form of a contract: a public newtype over a pointer to a private trait that can be a `dyn`.

use std::future::Future;
use std::pin::Pin;

use crate::error::Result;

/// The future that a boxed call returns.
pub(crate) type Boxed<'a, T> = Pin<Box<dyn Future<Output = Result<T>> + Send + 'a>>;

/// Defines `$name`, which holds any `$contract`, and implements the contract for it. `$base` is `Send`, or a private
/// trait with the calls that need another form behind a pointer. The last braces hold the contract's items for those
/// calls.
macro_rules! boxed {
    (
        $(#[$doc:meta])*
        $name:ident: $contract:ident, $dynamic:ident: $base:ident {
            $(async fn $call:ident($($argument:ident: $takes:ty)?) -> $returns:ty;)*
        }
        { $($item:item)* }
    ) => {
        $(#[$doc])*
        #[derive(Clone)]
        pub struct $name(std::sync::Arc<dyn $dynamic>);

        impl $name {
            /// Boxes an implementation.
            pub fn new(inner: impl $contract) -> Self {
                $name(std::sync::Arc::new(inner))
            }
        }

        impl std::fmt::Debug for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(stringify!($name))
            }
        }

        trait $dynamic: $base + Send + Sync {
            $(fn $call(&self $(, $argument: $takes)?) -> crate::boxed::Boxed<'_, $returns>;)*
        }

        impl<T: $contract> $dynamic for T {
            $(fn $call(&self $(, $argument: $takes)?) -> crate::boxed::Boxed<'_, $returns> {
                Box::pin($contract::$call(self $(, $argument)?))
            })*
        }

        impl $contract for $name {
            $(async fn $call(&self $(, $argument: $takes)?) -> Result<$returns> {
                self.0.$call($($argument)?).await
            })*

            $($item)*
        }
    };
}

pub(crate) use boxed;
