//! What both sides of a ring boundary share: statuses, structures, constants, request packets.
