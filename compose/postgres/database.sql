-- The role and the database of the legacy system.
CREATE ROLE legacy LOGIN REPLICATION PASSWORD 'legacy';
CREATE DATABASE legacy OWNER legacy;
