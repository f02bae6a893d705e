import asyncio

asyncio.sleep = None
