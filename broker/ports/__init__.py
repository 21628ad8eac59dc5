"""What the services need from the world, each method with its promise; adapters keep them."""
