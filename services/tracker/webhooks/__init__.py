"""What providers tell of messages: one file each that verifies a request and reads its events. Pure where it can be."""
