"""The clients of a Triton server: `Client("grpc://localhost:8001", Path("bundle")).predict(image=…, text="…")`."""

from clients.triton.client import Client
from clients.triton.client_async import AsyncClient

__all__ = ["AsyncClient", "Client"]
