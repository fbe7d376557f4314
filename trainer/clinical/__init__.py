"""Clinical findings of clips and patients, and outcomes predicted from them."""
