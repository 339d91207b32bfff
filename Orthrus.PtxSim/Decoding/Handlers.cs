global using unsafe Handler = delegate*<Orthrus.PtxSim.Execution.Core, Orthrus.PtxSim.Decoding.Instr*, byte*, uint, Orthrus.PtxSim.Decoding.Instr*>;
