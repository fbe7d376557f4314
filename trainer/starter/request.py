"""What may be asked of ``confseg-train starter``; without torch, for its help."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field


class StarterRequest(BaseModel):
    """What a starter model is learnt from, and for how long."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    seed: int = Field(0, ge=0, description="what phantoms and training are drawn from")
    phantoms: int = Field(1500, ge=1, le=1_000_000, description="phantoms to learn from")
    steps: int = Field(3000, ge=1, description="optimiser steps")
    side: int = Field(160, ge=32, le=512, multiple_of=16, description="side of the frames, pixels")
    device: str = Field("auto", description="auto (a GPU if there is one), cpu, cuda or cuda:1")
    threads: int = Field(2, ge=0, description="CPU threads; 0 leaves it to torch")
