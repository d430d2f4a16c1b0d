"""Numbers, senders and segments of text messages: what intake judges, a preview shows and the dispatcher prices."""
