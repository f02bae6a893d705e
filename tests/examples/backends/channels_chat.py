"""Django channels: an async and a sync consumer, each with a group of all who are in its room."""

import django
from asgiref.sync import async_to_sync
from channels.generic.websocket import AsyncJsonWebsocketConsumer, JsonWebsocketConsumer
from channels.routing import ProtocolTypeRouter, URLRouter
from django.conf import settings
from django.urls import path

if not settings.configured:
    settings.configure(CHANNEL_LAYERS={"default": {"BACKEND": "channels.layers.InMemoryChannelLayer"}})
    django.setup()


class AsyncChat(AsyncJsonWebsocketConsumer):
    async def connect(self):
        await self.channel_layer.group_add("async", self.channel_name)
        await self.accept()

    async def disconnect(self, code):
        await self.channel_layer.group_discard("async", self.channel_name)

    async def receive_json(self, content):
        await self.channel_layer.group_send("async", {"type": "chat.message", "content": content})

    async def chat_message(self, event):
        await self.send_json(event["content"])


class SyncChat(JsonWebsocketConsumer):
    def connect(self):
        async_to_sync(self.channel_layer.group_add)("sync", self.channel_name)
        self.accept()

    def disconnect(self, code):
        async_to_sync(self.channel_layer.group_discard)("sync", self.channel_name)

    def receive_json(self, content):
        async_to_sync(self.channel_layer.group_send)("sync", {"type": "chat.message", "content": content})

    def chat_message(self, event):
        self.send_json(event["content"])


app = ProtocolTypeRouter(
    {"websocket": URLRouter([path("async/", AsyncChat.as_asgi()), path("sync/", SyncChat.as_asgi())])}
)
