"""What the speed claims are measured with, peers included. Not part of the product."""
