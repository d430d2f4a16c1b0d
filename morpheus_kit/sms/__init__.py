"""Numbers and senders of text messages: what intake judges and the dispatcher prices."""
