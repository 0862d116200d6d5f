//! The scripts, each between what all of them begin and end with.

use std::sync::LazyLock;

use engine::redis::Script;

macro_rules! scripts {
    ($($name:ident = $file:literal;)*) => {$(
        pub(super) static $name: LazyLock<Script> = LazyLock::new(|| {
            Script::new(concat!(
                include_str!("../lua/prelude.lua"),
                "local function main()\n",
                include_str!(concat!("../lua/", $file)),
                "\nend\n",
                include_str!("../lua/publish.lua"),
            ))
        });
    )*};
}

scripts! {
    ADD = "add.lua";
    GATHER = "gather.lua";
    REMOVE = "remove.lua";
    SCAN = "scan.lua";
    FIND = "find.lua";
    FEED_END = "feed_end.lua";
    CLAIM = "claim.lua";
    ENTER_PRIVATE = "enter_private.lua";
    CHANGE_PRIVATE = "change_private.lua";
    START_PRIVATE = "start_private.lua";
    ANSWER = "answer.lua";
    ACCEPTANCE = "acceptance.lua";
    RENEW = "renew.lua";
    SETTLE = "settle.lua";
    GIVE_BACK = "give_back.lua";
    RESTORE = "restore.lua";
    END = "end.lua";
    DEPART = "depart.lua";
    STANDING = "standing.lua";
    SWEEP = "sweep.lua";
}

#[cfg(test)]
mod tests {
    use crate::store::{REMEMBERED, feed};

    #[test]
    fn scripts_remember_for_as_long_as_the_contract_says() {
        let prelude = include_str!("../lua/prelude.lua");
        let wanted = format!("REMEMBERED_MS = {}", REMEMBERED.as_millis());
        assert!(prelude.contains(&wanted));
        let wanted = format!("FEED_KEPT = {}\n", feed::KEPT);
        assert!(prelude.contains(&wanted));
    }
}
