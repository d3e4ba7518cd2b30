//! Takes messages back: by number, or one's own last one.

use chatwire_client::{Client, Content, Error, Message};

/// Where one's own last message is looked for.
const RECENT: u16 = 200;

/// Removes a message of a chat for everybody; without a number `me`'s last one. Its number, if there was one.
pub(crate) async fn delete(
    client: &Client,
    chat: u64,
    me: u64,
    number: Option<u64>,
) -> Result<Option<u64>, Error> {
    let seq = match number {
        Some(seq) => Some(seq),
        None => {
            let page = client.history(chat, 0, RECENT).await?;
            let is_mine = |message: &&Message| message.user == me && message.content != Content::Gone;
            page.messages.iter().rev().find(is_mine).map(|message| message.seq)
        }
    };
    if let Some(seq) = seq {
        client.delete(chat, seq).await?;
    }
    Ok(seq)
}
