"""What both ends of a realtime session know: the session object, the dialects, the refusals of the protocol.

session_object      what a session is, and what an update makes of it
response_object     what holds for one response of it
translation_object  what a translation session is
items               conversation items as clients create them
beta                the beta dialect, spoken at the edge
ids                 ids that every holder of a session makes alike
refusals            what only this protocol refuses
"""
