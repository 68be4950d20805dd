"""Sound to text: plain values in, plain values out. No server, no SQL, no settings."""
