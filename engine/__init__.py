"""Sound to text: plain values in, plain values out. No server, no SQL, no settings."""

import os

# nothing leaves the box unasked: onnxruntime would gather events for its maker, the hub would look
# for newer models; both read this when they are imported, so it stands before everything
os.environ["ORT_DISABLE_TELEMETRY"] = "1"
os.environ.setdefault("HF_HUB_OFFLINE", "1")
