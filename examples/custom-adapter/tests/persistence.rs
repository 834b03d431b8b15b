//! A replica whose store is closed and opened again.

use custom_adapter::open;
use synckit::{EventStore, NewEvent, NodeId, Replica};

#[tokio::test]
async fn what_was_recorded_is_there_when_the_file_is_opened_again() -> Result<(), Box<dyn std::error::Error>>
{
    let directory = tempfile::tempdir()?;
    let path = directory.path().join("till-1.log");
    let till = Replica::new(open(&path, NodeId::new("till-1")?).await?);
    till.record([NewEvent::new("ItemSold", "receipt-1", "apple")?]).await?;
    till.store().close().await?;

    let till = Replica::new(open(&path, NodeId::new("till-1")?).await?);
    till.record([NewEvent::new("ItemSold", "receipt-1", "pear")?]).await?;
    let history = till.history(&"receipt-1".parse()?).await?;
    assert_eq!(history.live().count(), 2);
    Ok(())
}
