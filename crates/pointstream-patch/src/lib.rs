//! JSON documents as text: diff, direct edits, JSON Patch and JSON Pointer.

#![no_std]
