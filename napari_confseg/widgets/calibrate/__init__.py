"""The Calibrate panel: how sure a reader is against how right."""
